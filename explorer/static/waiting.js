// Reloads the notice that the explorer is being built until it is. Not by a Refresh header: browsers answer that one with a
// jump inside the page where the address has a fragment, such as the ticket of a link that signs in.
setTimeout(() => location.reload(), 3000);
