(() => {
  // A click on a patient's name opens the patient's cells below the row.
  const store = document.getElementById("patient-cells");
  const table = document.getElementById("patients-table");
  if (!store || !table) return;
  const sheets = new Map(Object.entries(JSON.parse(store.textContent)));
  if (!sheets.size) return;
  const side = Number(store.dataset.tile);
  const columns = Number(store.dataset.columns);

  function picture(sheet, number) {
    const across = Math.min(columns, sheet.cells.length);
    const tile = document.createElement("span");
    tile.className = "tile";
    tile.style.width = `${side}px`;
    tile.style.height = `${2 * side}px`;
    tile.style.backgroundImage = `url("data:image/webp;base64,${sheet.webp}")`;
    tile.style.backgroundPosition = `${-side * (number % across)}px ${-2 * side * Math.floor(number / across)}px`;
    return tile;
  }

  function cellFigure(sheet, number) {
    const [grade, her2, image, object] = sheet.cells[number];
    const figure = document.createElement("figure");
    figure.className = "cell";
    figure.title = `${image}, object ${object}`;
    const caption = document.createElement("figcaption");
    const chip = document.createElement("span");
    chip.className = grade ? `chip grade-${parseInt(grade, 10)}` : "chip";
    const value = her2 === null ? "not measured" : her2;
    caption.append(chip, `${grade || "no grade"} · ${value}`);
    const tile = picture(sheet, number);
    tile.setAttribute("role", "img");
    tile.setAttribute("aria-label", `Cell of grade ${grade || "none"}, HER2 ${value}, ${figure.title}`);
    figure.append(tile, caption);
    return figure;
  }

  function open(row, button) {
    const sheet = sheets.get(row.dataset.patient);
    const detail = document.createElement("tr");
    detail.className = "patient-cells";
    const cell = detail.insertCell();
    cell.colSpan = row.cells.length;
    const shown = document.createElement("p");
    shown.textContent = `${sheet.cells.length} of ${sheet.of} CTCs, by grade and HER2`;
    const box = document.createElement("div");
    box.className = "tiles";
    box.append(...sheet.cells.map((_, number) => cellFigure(sheet, number)));
    cell.append(shown, box);
    row.after(detail);
    button.setAttribute("aria-expanded", "true");
  }

  function close(row, button) {
    row.nextElementSibling.remove();
    button.setAttribute("aria-expanded", "false");
  }

  for (const row of table.tBodies[0].rows) {
    if (!sheets.has(row.dataset.patient)) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "patient";
    button.setAttribute("aria-expanded", "false");
    const name = row.cells[0];
    button.append(...name.childNodes);
    name.append(button);
    button.addEventListener("click", () =>
      (button.getAttribute("aria-expanded") === "true" ? close : open)(row, button),
    );
  }
  document.addEventListener("close-patients", () => {
    for (const button of table.querySelectorAll('button[aria-expanded="true"]')) close(button.closest("tr"), button);
  });
  document.getElementById("open-hint").hidden = false;
})();
