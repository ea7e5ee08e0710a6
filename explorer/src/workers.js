// Starts the editor's workers from our own origin, so that the page needs neither blob: nor a CDN.
// In CDN mode the import map puts GraphiQL's own set-up in this file's place.
/* global WORKER_FILES */
globalThis.MonacoEnvironment = {
  getWorker(_id, label) {
    const file = WORKER_FILES[label] ?? WORKER_FILES.editor;
    return new Worker(new URL(`./${file}`, import.meta.url), { name: label });
  },
};
