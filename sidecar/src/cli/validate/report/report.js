(() => {
  "use strict";
  const form = document.getElementById("filters");
  if (!form) return;
  const files = [...document.querySelectorAll("details.file")];
  const faults = [...document.querySelectorAll("article")].map((node) => ({
    node,
    severity: node.dataset.severity,
    rule: node.dataset.rule,
    profiles: node.dataset.profile.trim().split(" "),
    text: node.textContent.toLowerCase() + " " + node.closest("details").querySelector("h3").textContent.toLowerCase(),
  }));
  const shown = document.getElementById("shown");
  const nothing = document.getElementById("nothing");
  const fold = document.getElementById("fold");
  const filter = () => {
    const chosen = new FormData(form);
    const severities = chosen.getAll("severity");
    const rule = chosen.get("rule");
    const profile = chosen.get("profile");
    const words = chosen.get("text").toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const fault of faults) {
      const passes =
        severities.includes(fault.severity) &&
        (!rule || rule === fault.rule) &&
        (!profile || fault.profiles.includes(profile)) &&
        words.every((word) => fault.text.includes(word));
      fault.node.hidden = !passes;
      if (passes) count += 1;
    }
    for (const file of files) file.hidden = !file.querySelector("article:not([hidden])");
    shown.textContent = count === faults.length ? count + " shown" : count + " of " + faults.length + " shown";
    nothing.hidden = count > 0;
  };
  let waiting = 0;
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(filter, 80);
  });
  form.addEventListener("reset", () => setTimeout(filter));
  form.addEventListener("submit", (event) => event.preventDefault());
  fold.addEventListener("click", () => {
    const close = files.some((file) => file.open);
    for (const file of files) file.open = !close;
    fold.textContent = close ? "Open all files" : "Close all files";
  });
  window.addEventListener("beforeprint", () => {
    for (const file of files) file.open = true;
  });
  form.hidden = false;
  filter();
})();
