// Areas of the photo, each with a mask and styles of its own.

import { MaskPainter, Mask } from "./mask.js";
import { MOST_AREAS, area, state } from "./state.js";
import { photoPixels, setMasking } from "./viewer.js";

const $ = (id) => document.getElementById(id);
let changed = () => {};
let make = () => {};

const tool = () => document.querySelector("input[name=tool]:checked").value;

const painter = new MaskPainter(
  $("mask"),
  () => ({
    tool: tool(),
    size: Number($("brush-size").value),
    tolerance: Number($("tolerance").value),
    get photo() {
      return photoPixels();
    },
  }),
  () => changed(),
);

export function setUpAreas({ changed: action, newArea }) {
  changed = action;
  make = newArea;
  for (const input of document.querySelectorAll("input[name=tool]")) {
    input.addEventListener("change", drawTools);
  }
  for (const id of ["brush-size", "tolerance"]) $(id).addEventListener("input", drawTools);
  for (const [id, action] of [
    ["mask-undo", (mask) => mask.undo()],
    ["mask-invert", (mask) => mask.invert()],
    ["mask-clear", (mask) => mask.clear()],
  ]) {
    $(id).addEventListener("click", () => {
      action(area().mask);
      painter.draw();
      changed();
    });
  }
  $("area-remove").addEventListener("click", () => {
    state.areas.splice(state.active, 1);
    state.active = 0;
    changed();
  });
  drawTools();
}

function drawTools() {
  $("brush-size-row").hidden = tool() === "fill";
  $("tolerance-row").hidden = tool() !== "fill";
  for (const id of ["brush-size", "tolerance"]) {
    $(id).parentElement.querySelector("output").value = $(id).value;
  }
}

/** Draw the choice of areas, and the mask of the one that is chosen. */
export function drawAreas() {
  const place = $("areas");
  place.hidden = !state.photo;
  const names = state.areas.map((_, at) => (at ? `Area ${at}` : state.areas.length > 1 ? "The rest" : "Whole photo"));
  const buttons = names.map((name, at) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.setAttribute("aria-pressed", String(at === state.active));
    button.addEventListener("click", () => {
      state.active = at;
      changed({ paints: false });
      place.children[at].focus();
    });
    return button;
  });
  if (state.areas.length <= MOST_AREAS) {
    const add = document.createElement("button");
    add.type = "button";
    add.id = "area-add";
    add.className = "quiet";
    add.textContent = "+ Paint an area";
    add.addEventListener("click", () => {
      const [width, height] = state.photo.preview;
      state.areas.push(make(new Mask(width, height)));
      state.active = state.areas.length - 1;
      changed({ paints: false });
    });
    buttons.push(add);
  }
  place.replaceChildren(...buttons);
  const { mask } = area();
  $("mask-tools").hidden = !mask;
  setMasking(Boolean(mask));
  if (mask !== drawAreas.shown) painter.show(mask);
  drawAreas.shown = mask;
}
