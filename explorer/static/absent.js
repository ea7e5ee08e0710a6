// Stands for an optional package that the editor's libraries look for and do without.
