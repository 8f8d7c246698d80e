// Copy, save and the change of theme need no server. One listener serves whatever panes come.
(() => {
  const carried = (button) => button.parentElement.querySelector("[hidden]").textContent;

  const say = (button, word) => {
    const label = button.textContent;
    button.textContent = word;
    setTimeout(() => { button.textContent = label; }, 1200);
  };

  // Browsers offer the clipboard to https and localhost alone; elsewhere the old way still works.
  const copyTheOldWay = (text) => {
    const area = document.createElement("textarea");
    area.value = text;
    area.style.position = "fixed";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) throw new Error("the browser refused");
  };

  const copy = async (button) => {
    try {
      if (navigator.clipboard) await navigator.clipboard.writeText(carried(button));
      else copyTheOldWay(carried(button));
      say(button, "Copied");
    } catch {
      say(button, "Not allowed");
    }
  };

  const save = (button) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([carried(button)], { type: "text/plain" }));
    link.download = button.dataset.wbSave;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-wb-copy], [data-wb-save], [data-wb-theme]");
    if (!button) return;
    if ("wbCopy" in button.dataset) copy(button);
    else if ("wbSave" in button.dataset) save(button);
    else document.body.classList.toggle("dark");
  });
})();
