// Sorts and exports tables, filters cases. Without it the page shows the same content.

// A cell's value: its unrounded number if it has one, else its text.
const exact = (cell) => cell.matches("[data-v]") ? cell : cell.querySelector("[data-v]");
const text = (cell) => cell.innerText.replace(/\s+/g, " ").trim();
const number = (cell) => {
  const tagged = exact(cell);
  const written = tagged ? tagged.dataset.v : text(cell).replace(/\u202f/g, "").replace("\u2212", "-");
  return written === "" || isNaN(written) ? null : Number(written);
};
const rows = (part) => [...part.rows].filter((row) => row.cells.length > 1);

function sortBy(table, column, descending) {
  const key = (row) => {
    const value = number(row.cells[column]);
    return value === null ? text(row.cells[column]) : value;
  };
  for (const part of table.tBodies) {
    const sorted = rows(part).sort((first, second) => {
      const [a, b] = [key(first), key(second)];
      if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1; // undefined comes last
      const order = typeof a === "number" ? a - b : a.localeCompare(b);
      return descending ? -order : order;
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
  // A spreadsheet would run a text that begins like a formula; see fl_jax/files/csv_table.py.
  const escape = (value) => /^'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/.test(value) && isNaN(value) ? `'${value}` : value;
  const quote = (value) => /[",\r\n]/.test(value) ? `"${value.replace(/"/g, '""')}"` : value;
  const names = head.flatMap((cell, i) => limited[i] ? [text(cell), `${text(cell)}, low`, `${text(cell)}, high`] : [text(cell)]);
  const lines = [[...(grouped ? ["group"] : []), ...names]];
  for (const part of parts) {
    for (const row of part.rows) {
      const line = grouped ? [part.grouped ? part.name : ""] : [];
      head.forEach((_, i) => {
        const cell = row.cells[i];
        const tagged = cell && exact(cell);
        const value = cell && number(cell);
        line.push(!cell ? "" : value !== null && value !== undefined ? String(tagged ? tagged.dataset.v : value) : text(cell) === "\u2013" ? "" : text(cell));
        if (limited[i]) line.push(tagged?.dataset.low ?? "", tagged?.dataset.high ?? "");
      });
      lines.push(line);
    }
  }
  return lines.map((line) => line.map(escape).map(quote).join(",")).join("\r\n") + "\r\n";
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
      const descending = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      sortBy(table, column, descending);
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
    for (const item of cases) {
      const fields = item.dataset;
      const score = Number(fields.score);
      item.hidden = !(
        (!wanted.outcome || fields.outcome === wanted.outcome) && (!wanted.site || fields.site === wanted.site) &&
        (!wanted.label || fields.labels.split(" ").includes(wanted.label)) &&
        score >= Number(wanted.least || 0) && score <= Number(wanted.most || 1)
      );
      shown += !item.hidden;
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

// Prints all sections unfolded, except cases.
addEventListener("beforeprint", () => {
  for (const fold of document.querySelectorAll("details:not(.case)")) fold.open = true;
});
