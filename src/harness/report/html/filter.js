// Searches and filters the requirements. Without it, the page shows all of them.
"use strict";
(() => {
  const form = document.getElementById("filter");
  if (!form) return;
  const words = document.getElementById("words");
  const found = document.getElementById("found");
  const all = [...document.querySelectorAll(".requirement")];
  const texts = new Map(all.map((one) => [one, one.textContent.toLowerCase()]));
  const show = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const boxes = [...form.querySelectorAll("input[name=verdict]:checked")];
    const verdicts = new Set(boxes.map((box) => box.value));
    let number = 0;
    for (const one of all) {
      const text = texts.get(one);
      one.hidden = !(verdicts.has(one.dataset.verdict) && wanted.every((word) => text.includes(word)));
      number += one.hidden ? 0 : 1;
    }
    for (const group of document.querySelectorAll(".group")) {
      group.hidden = !group.querySelector(".requirement:not([hidden])");
    }
    found.textContent = `${number} of ${all.length} requirements`;
  };
  form.hidden = false;
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  show();
  // Paper has no folds.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    for (const one of folded) one.open = true;
  });
  addEventListener("afterprint", () => {
    for (const one of folded) one.open = false;
  });
})();
