"use strict";
(() => {
  const table = document.getElementById("patients-table");
  if (!table) return;
  const body = table.tBodies[0];
  const headers = [...table.tHead.rows[0].cells];
  const byName = new Intl.Collator(undefined, { numeric: true });

  const textOf = (row, column) => row.cells[column].textContent.trim();
  const numberOf = (row, column) => parseFloat(row.cells[column].dataset.sort ?? textOf(row, column));

  const compareBy = (column, isText) => (a, b) => {
    if (isText) return byName.compare(textOf(a, column), textOf(b, column));
    return numberOf(a, column) - numberOf(b, column);
  };

  function sortBy(column) {
    const header = headers[column];
    const isText = header.dataset.kind === "text";
    const first = isText ? "ascending" : "descending";
    const other = isText ? "descending" : "ascending";
    const order = header.ariaSort === first ? other : first;
    headers.forEach((one) => one.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const compare = compareBy(column, isText);
    // Whatever the order, rows without a number come last.
    const isMissing = (row) => !isText && Number.isNaN(numberOf(row, column));
    document.dispatchEvent(new Event("close-patients"));
    const rows = [...body.rows].sort(
      (a, b) => isMissing(a) - isMissing(b) || (isMissing(a) ? 0 : sign * compare(a, b)),
    );
    body.append(...rows);
  }

  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    button.addEventListener("click", () => sortBy(column));
    header.append(button);
  });

  const filter = document.getElementById("patients-filter");
  const shown = document.getElementById("patients-shown");
  const group = document.getElementById("patients-group");
  function applyFilter() {
    document.dispatchEvent(new Event("close-patients"));
    const wanted = filter.value.trim().toLocaleLowerCase();
    let number = 0;
    for (const row of body.rows) {
      const ofGroup = !group.value || row.dataset.group === group.value;
      row.hidden = !ofGroup || !row.textContent.toLocaleLowerCase().includes(wanted);
      number += row.hidden ? 0 : 1;
    }
    shown.textContent = `${number} of ${body.rows.length}`;
  }
  filter.addEventListener("input", applyFilter);
  group.addEventListener("input", applyFilter);
  filter.closest(".filter").hidden = false;
  applyFilter();
})();
