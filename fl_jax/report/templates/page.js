// Without this script the page shows the same: tables in their order, every case, nothing to download.

// What a cell holds: the unrounded number where there is one, else what is written.
const exact = (cell) => cell.matches("[data-v]") ? cell : cell.querySelector("[data-v]");
const text = (cell) => cell.innerText.replace(/\s+/g, " ").trim();
const number = (cell) => {
  const held = exact(cell);
  const written = held ? held.dataset.v : text(cell).replace(/\u202f/g, "").replace("\u2212", "-");
  return written === "" || isNaN(written) ? null : Number(written);
};
const rows = (part) => [...part.rows].filter((row) => row.cells.length > 1);

function sortBy(table, column, falling) {
  const worth = (row) => {
    const value = number(row.cells[column]);
    return value === null ? text(row.cells[column]) : value;
  };
  for (const part of table.tBodies) {
    const sorted = rows(part).sort((one, other) => {
      const [a, b] = [worth(one), worth(other)];
      if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1; // what is undefined comes last
      const order = typeof a === "number" ? a - b : a.localeCompare(b);
      return falling ? -order : order;
    });
    part.append(...sorted);
  }
}

function csv(table) {
  const head = [...table.tHead.rows[0].cells];
  const parts = [...table.tBodies].map((part) => ({ name: text(part.rows[0]), grouped: part.classList.contains("group"), rows: rows(part) }));
  const all = parts.flatMap((part) => part.rows);
  const grouped = parts.some((part) => part.grouped);
  const limited = head.map((_, i) => all.some((row) => row.cells[i] && exact(row.cells[i])?.dataset.low !== undefined));
  const quote = (value) => /[",\n]/.test(value) ? `"${value.replace(/"/g, '""')}"` : value;
  const names = head.flatMap((cell, i) => limited[i] ? [text(cell), `${text(cell)}, low`, `${text(cell)}, high`] : [text(cell)]);
  const lines = [[...(grouped ? ["group"] : []), ...names]];
  for (const part of parts) {
    for (const row of part.rows) {
      const line = grouped ? [part.grouped ? part.name : ""] : [];
      head.forEach((_, i) => {
        const cell = row.cells[i];
        const held = cell && exact(cell);
        const value = cell && number(cell);
        line.push(!cell ? "" : value !== null && value !== undefined ? String(held ? held.dataset.v : value) : text(cell) === "\u2013" ? "" : text(cell));
        if (limited[i]) line.push(held?.dataset.low ?? "", held?.dataset.high ?? "");
      });
      lines.push(line);
    }
  }
  return lines.map((line) => line.map(quote).join(",")).join("\r\n") + "\r\n";
}

for (const table of document.querySelectorAll("figure.table table")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    if (!text(head)) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const falling = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      sortBy(table, column, falling);
    });
  });
  const caption = table.closest("figure").querySelector("figcaption");
  const link = document.createElement("a");
  link.className = "csv";
  link.href = "#";
  link.textContent = "CSV";
  link.download = (caption.querySelector("b") ?? caption).textContent.trim().slice(0, 40).replace(/\W+/g, "_").replace(/_$/, "").toLowerCase() + ".csv";
  link.title = "This table with unrounded numbers";
  link.addEventListener("click", () => {
    link.href = "data:text/csv;charset=utf-8," + encodeURIComponent(csv(table));
  });
  caption.append(" ", link);
}

const filters = document.getElementById("filters");
if (filters) {
  const grid = document.querySelector(".cases");
  const cases = [...grid.children];
  const apply = () => {
    const wanted = Object.fromEntries(new FormData(filters));
    let shown = 0;
    for (const one of cases) {
      const is = one.dataset;
      const score = Number(is.score);
      one.hidden = !(
        (!wanted.outcome || is.outcome === wanted.outcome) && (!wanted.site || is.site === wanted.site) &&
        (!wanted.label || is.labels.split(" ").includes(wanted.label)) &&
        score >= Number(wanted.least || 0) && score <= Number(wanted.most || 1)
      );
      shown += !one.hidden;
    }
    const order = Number(wanted.order);
    grid.append(...(order ? [...cases].sort((a, b) => order * (a.dataset.score - b.dataset.score)) : cases));
    document.getElementById("shown").textContent = `${shown} of ${cases.length} cases`;
  };
  filters.addEventListener("input", apply);
  filters.addEventListener("submit", (event) => event.preventDefault());
  filters.hidden = false;
  apply();
}

// Paper has no click: what is folded on the screen is printed open, but for the cases.
addEventListener("beforeprint", () => {
  for (const fold of document.querySelectorAll("details:not(.case)")) fold.open = true;
});
