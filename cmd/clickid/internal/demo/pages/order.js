// Shows the conversion's progress until its end. Only the conversion changes, and
// it has nothing that could have the focus.
const update = async () => {
  const shown = document.querySelector(".conversion");
  if (shown.hasAttribute("data-final")) return;
  try {
    const html = await (await fetch(location.href)).text();
    const fresh = new DOMParser().parseFromString(html, "text/html").querySelector(".conversion");
    if (fresh && fresh.textContent !== shown.textContent) shown.replaceWith(document.adoptNode(fresh));
    setTimeout(update, 500);
  } catch { /* the demo has ended */ }
};
update();
