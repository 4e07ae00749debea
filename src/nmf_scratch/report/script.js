"use strict";
// What the page offers beyond reading: tables that sort and figures that enlarge, by mouse and by keyboard.
{
  const value = (cell) => (cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value));

  const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));

  function sort(head) {
    const table = head.closest("table");
    const rows = [...table.tBodies[0].rows];
    const first = head.classList.contains("number") ? "descending" : "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    const order = head.getAttribute("aria-sort") === first ? other : first;
    const sign = order === "ascending" ? 1 : -1;
    const absent = (row) => row.cells[head.cellIndex].textContent === "\u2013"; // dashes stay below
    rows.sort((a, b) => {
      const [left, right] = [a, b].map((row) => row.cells[head.cellIndex]);
      return absent(a) - absent(b) || sign * compare(value(left), value(right));
    });
    for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", order);
    table.tBodies[0].append(...rows);
  }

  for (const head of document.querySelectorAll("thead th")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(head));
    head.append(button);
  }

  const dialog = document.getElementById("zoom");
  const sheet = dialog.querySelector(".sheet");

  function enlarge(figure, name) {
    sheet.replaceChildren(figure.querySelector("picture").cloneNode(true));
    dialog.setAttribute("aria-label", name);
    dialog.showModal();
  }

  document.querySelectorAll("main figure").forEach((figure, index) => {
    const name = `Figure ${index + 1}`;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "enlarge";
    button.textContent = "Enlarge";
    button.setAttribute("aria-label", `Enlarge ${name.toLowerCase()}`);
    button.addEventListener("click", () => enlarge(figure, name));
    figure.append(button);
  });

  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => sheet.replaceChildren());
}
