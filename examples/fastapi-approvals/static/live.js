// Draws the list anew whenever the ledger says something. Without it, people reload the page.
const list = document.getElementById('list');
const events = new EventSource(`/events?after=${list.dataset.after}`);
async function draw() {
  const response = await fetch('/');
  if (!response.ok) return;
  const page = new DOMParser().parseFromString(await response.text(), 'text/html');
  list.replaceChildren(...page.getElementById('list').childNodes);
}
let drawn = Promise.resolve();
events.onmessage = () => {
  drawn = drawn.then(draw, draw);
};
