// Comfort on top of pages that work without it: copying, menus that close, shortcuts, regions that can be scrolled by keys.
"use strict";

const announce = (text) => {
  const region = document.getElementById("announcement") || document.body.appendChild(Object.assign(document.createElement("p"),
    { id: "announcement", className: "visually-hidden", role: "status" }));
  region.textContent = text;
};

// A button with data-copy="id" copies the text or value of that element and confirms it in its label.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  const source = button && document.getElementById(button.dataset.copy);
  if (!source) return;
  await navigator.clipboard.writeText(source.value ?? source.textContent.trim());
  const label = button.querySelector(".label") || button;
  const before = label.textContent;
  label.textContent = "Copied";
  announce("Copied");
  setTimeout(() => (label.textContent = before), 1500);
});

// A click elsewhere or Escape closes an open menu; Escape returns the focus to it.
const openMenus = () => document.querySelectorAll("details.menu[open]");
document.addEventListener("click", (event) => {
  for (const menu of openMenus()) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    for (const menu of openMenus()) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  }
  const writes = event.target.closest?.("input, textarea, select, [contenteditable]");
  const search = document.getElementById("search");
  const wanted = (event.key === "/" && !writes && !event.ctrlKey && !event.metaKey && !event.altKey)
    || (event.key === "k" && (event.ctrlKey || event.metaKey));
  if (search && wanted) {
    event.preventDefault();
    search.focus();
    search.select();
  }
});

// Keyboards can scroll what is wider than its place.
const markScrollable = () => {
  for (const region of document.querySelectorAll(".table, pre")) {
    const scrolls = region.scrollWidth > region.clientWidth || region.scrollHeight > region.clientHeight;
    if (!scrolls || region.hasAttribute("tabindex")) continue;
    const heading = [...document.querySelectorAll("h1, h2, h3")]
      .filter((candidate) => candidate.compareDocumentPosition(region) & Node.DOCUMENT_POSITION_FOLLOWING).pop();
    region.tabIndex = 0;
    region.setAttribute("role", "region");
    const name = heading ? heading.textContent.trim() : "Table";
    const number = document.querySelectorAll(`[role=region][aria-label^="${CSS.escape(name)}"]`).length;
    region.setAttribute("aria-label", number > 0 ? `${name}, ${number + 1}` : name);
  }
};
markScrollable();
addEventListener("resize", markScrollable);
document.addEventListener("toggle", markScrollable, true);
document.addEventListener("htmx:afterSettle", markScrollable);

// Rows with a box: j and k move, x ticks, Enter opens. A box in the heading ticks all; with Shift, a range is ticked.
const boxes = () => [...document.querySelectorAll("input[name=ids]")];
const ticked = document.getElementById("ticked");
let latest;
if (ticked) {
  const count = () => {
    const number = boxes().filter((box) => box.checked).length;
    ticked.textContent = number === 1 ? "1 conversion selected" : `${number} conversions selected`;
    all.checked = number > 0 && number === boxes().length;
    for (const button of ticked.parentElement.querySelectorAll("button")) button.disabled = number === 0;
  };
  const all = Object.assign(document.createElement("input"), { type: "checkbox", ariaLabel: "Select all on this page" });
  document.querySelector(".cards thead th")?.replaceChildren(all);
  all.addEventListener("change", () => {
    for (const box of boxes()) box.checked = all.checked;
    count();
  });
  document.addEventListener("click", (event) => {
    const list = boxes();
    const here = list.indexOf(event.target);
    if (here < 0) return;
    if (event.shiftKey && latest !== undefined) {
      for (const box of list.slice(Math.min(here, latest), Math.max(here, latest) + 1)) box.checked = event.target.checked;
    }
    latest = here;
    count();
  });
  document.addEventListener("keydown", (event) => {
    const writes = event.target.closest?.("input:not([type=checkbox]), textarea, select");
    if (writes || event.ctrlKey || event.metaKey || event.altKey) return;
    const list = boxes();
    const here = list.indexOf(document.activeElement);
    const next = { j: here + 1, k: Math.max(here - 1, 0) }[event.key];
    if (next !== undefined) list[Math.min(next, list.length - 1)]?.focus();
    else if (event.key === "x" && here >= 0) list[here].click();
    else if (event.key === "Enter" && here >= 0) list[here].closest("tr").querySelector("td a[href]")?.click();
  });
  count();
}

// A field with data-values is completed from the values that the browser knows: time zones, or currencies with their names.
document.addEventListener("focusin", (event) => {
  const kind = event.target.dataset?.values;
  if (!kind || event.target.list || !Intl.supportedValuesOf) return;
  const list = Object.assign(document.createElement("datalist"), { id: `values-${kind}` });
  const names = kind === "currency" && new Intl.DisplayNames("en", { type: "currency" });
  for (const value of Intl.supportedValuesOf(kind)) list.append(new Option(names ? names.of(value) : "", value));
  if (!document.getElementById(list.id)) document.body.append(list);
  event.target.setAttribute("list", list.id);
});

// Letters: ? lists the shortcuts, g and a letter goes to a page, [ and ] walk through the periods.
let goes = false;
document.addEventListener("keydown", (event) => {
  const writes = event.target.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable]");
  if (writes || event.ctrlKey || event.metaKey || event.altKey) return;
  const shortcuts = document.getElementById("shortcuts");
  if (goes) {
    goes = false;
    const page = /^[a-z]$/.test(event.key) && shortcuts?.querySelector(`[data-go=${event.key}]`);
    if (page) page.click();
    return;
  }
  if (event.key === "?") shortcuts?.togglePopover();
  else if (event.key === "g") goes = setTimeout(() => (goes = false), 1500) > 0;
  else if (event.key === "[") document.getElementById("earlier")?.click();
  else if (event.key === "]") document.getElementById("later")?.click();
});

// Rows of a report: j and k move, Enter opens or closes a row, or else filters by it; f filters.
document.addEventListener("keydown", (event) => {
  const table = document.querySelector("table[data-rows]");
  const writes = event.target.closest?.("input, textarea, select, button, summary, [popover]");
  if (!table || writes || event.ctrlKey || event.metaKey || event.altKey) return;
  const rows = [...table.tBodies[0].rows];
  const row = document.activeElement.closest?.("tbody tr");
  const here = rows.indexOf(row);
  const next = { j: here + 1, k: Math.max(here - 1, 0) }[event.key];
  if (next !== undefined) {
    const wanted = rows[Math.min(next, rows.length - 1)];
    const link = wanted?.querySelector("a.toggle") || wanted?.querySelector("a");
    link?.focus();
    link?.scrollIntoView({ block: "nearest" });
  } else if (event.key === "f" && here >= 0) row.querySelector("a.group-key")?.click();
});
