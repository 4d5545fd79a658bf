// Pictures that are chosen, dropped or pasted.

import { say } from "./messages.js";

const $ = (id) => document.getElementById(id);
const pictures = (list) => [...(list ?? [])].filter((file) => file instanceof File);

/** Hand on what arrives: `takePhoto(file)`, `takeStyles(files)`. */
export function watchFiles({ takePhoto, takeStyles, hasPhoto }) {

  $("choose-photo").addEventListener("click", () => $("photo-file").click());
  $("new-photo").addEventListener("click", () => $("photo-file").click());
  for (const [id, take] of [["photo-file", (files) => takePhoto(files[0])], ["style-file", takeStyles]]) {
    $(id).addEventListener("change", () => {
      const files = pictures($(id).files);
      $(id).value = "";
      if (files.length) take(files);
    });
  }
  for (const [id, take] of [["stage", (files) => takePhoto(files[0])], ["panel", takeStyles]]) {
    const place = $(id);
    place.addEventListener("dragover", (event) => { event.preventDefault(); place.classList.add("over"); });
    place.addEventListener("dragleave", (event) => place.contains(event.relatedTarget) || place.classList.remove("over"));
    place.addEventListener("drop", (event) => {
      event.preventDefault();
      place.classList.remove("over");
      const files = pictures(event.dataTransfer.files);
      if (files.length) take(files);
      else say("That was no file. Drop a picture from a folder.", true);
    });
  }
  for (const name of ["dragover", "drop"]) addEventListener(name, (event) => event.preventDefault());
  addEventListener("paste", (event) => {
    const files = pictures(event.clipboardData.files);
    if (!files.length) return;
    if (!hasPhoto()) { takePhoto(files[0]); return; }
    const dialog = $("pasted");
    dialog.returnValue = "";
    dialog.addEventListener("close", () => {
      if (dialog.returnValue === "photo") takePhoto(files[0]);
      if (dialog.returnValue === "style") takeStyles(files);
    }, { once: true });
    dialog.showModal();
  });
}
