"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const roles = data.sides.map((side) => side.role);
  const colors = { p: "#3b82c4", f: "#d55e00" };
  const SHOWN = 200;

  const make = (name, text) => {
    const node = document.createElement(name);
    if (text !== undefined) node.textContent = text;
    return node;
  };

  const trialsOf = (task, role) => task.trials.filter((trial) => trial.role === role);

  // A strip of marks: one column for each trial, base above head.
  const draw = (cell, task, check) => {
    const rows = roles.map((role) => trialsOf(task, role));
    const width = Math.max(1, ...rows.map((row) => row.length));
    const canvas = make("canvas");
    canvas.setAttribute("aria-hidden", "true");
    canvas.width = width * 3;
    canvas.height = rows.length * 4;
    const pen = canvas.getContext("2d");
    rows.forEach((row, line) => row.forEach((trial, place) => {
      const mark = trial.marks[check];
      if (mark === undefined || mark === "-") return;
      pen.fillStyle = colors[mark] || "#888888";
      pen.fillRect(place * 3, line * 4 + (mark === "p" ? 1 : 0), 2, mark === "p" ? 2 : 3);
    }));
    cell.append(canvas);
  };

  const failing = (task, check) => task.trials.filter((trial) => trial.marks[check] !== "p" && trial.marks[check] !== "-" && trial.marks !== "");

  const list = (cell, button, task, check) => {
    const open = button.getAttribute("aria-expanded") === "true";
    button.setAttribute("aria-expanded", String(!open));
    if (open) { cell.querySelector("ul").remove(); return; }
    const found = failing(task, check);
    const ul = make("ul");
    for (const trial of found.slice(0, SHOWN)) {
      const item = make("li");
      const link = make("a", `${trial.role === "run" ? "" : trial.role + " "}epoch ${trial.epoch} (${trial.id})`);
      link.href = `trials/${trial.id}.html#check-${encodeURIComponent(task.checks[check].id)}`;
      item.append(link);
      ul.append(item);
    }
    if (found.length > SHOWN) ul.append(make("li", `and ${found.length - SHOWN} more`));
    cell.append(ul);
  };

  const fill = (row, task) => {
    const check = Number(row.dataset.check);
    const cell = row.querySelector(".strip");
    draw(cell, task, check);
    const count = failing(task, check).length;
    if (!count) return;
    const button = make("button", `${count} failed`);
    button.type = "button";
    button.setAttribute("aria-expanded", "false");
    button.setAttribute("aria-label", `${count} trials failed ${task.checks[check].id}: list them`);
    button.addEventListener("click", () => list(cell, button, task, check));
    cell.append(button);
  };

  const value = (row, column) => {
    const cell = row.children[column];
    return cell.dataset.value === undefined ? cell.textContent.trim().toLowerCase() : Number(cell.dataset.value);
  };

  const sort = (table, column, head) => {
    const rising = head.getAttribute("aria-sort") !== "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const rows = [...table.tBodies[0].rows];
    rows.sort((a, b) => {
      const [x, y] = [value(a, column), value(b, column)];
      return (x < y ? -1 : x > y ? 1 : 0) * (rising ? 1 : -1);
    });
    table.tBodies[0].append(...rows);
  };

  const tables = [...document.querySelectorAll("table.matrix")];
  const lazily = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      lazily.unobserve(entry.target);
      fill(entry.target, data.tasks[Number(entry.target.closest("table").dataset.task)]);
    }
  }, { rootMargin: "400px" });

  for (const table of tables) {
    [...table.tHead.rows[0].cells].slice(0, -1).forEach((head, column) => {
      const button = make("button", head.textContent);
      button.type = "button";
      head.replaceChildren(button);
      button.addEventListener("click", () => sort(table, column, head));
    });
    for (const row of table.tBodies[0].rows) lazily.observe(row);
  }

  const form = document.getElementById("filters");
  const [find, dimension, changed, broken, count] = ["find", "dimension", "changed", "failing", "count"].map((id) => document.getElementById(id));
  for (const name of [...new Set(data.tasks.flatMap((task) => task.checks.map((check) => check.dimension)))].sort()) {
    const option = make("option", name);
    option.value = name;
    dimension.append(option);
  }

  const filter = () => {
    const word = find.value.trim().toLowerCase();
    let shown = 0;
    for (const table of tables) for (const row of table.tBodies[0].rows) {
      const hide = (word && !row.cells[0].textContent.toLowerCase().includes(word))
        || (dimension.value && row.cells[1].textContent.trim() !== dimension.value)
        || (changed.checked && row.dataset.changed !== "1")
        || (broken.checked && row.dataset.failing !== "1");
      row.hidden = Boolean(hide);
      shown += hide ? 0 : 1;
    }
    count.textContent = `${shown} checks`;
  };

  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", filter);
  if (roles.length < 2) changed.closest("label").hidden = true;
  filter();
})();
