// Styles to choose from: those of the studio, painted on a sample photo, and files of the user.

export const styles = [];

const title = (name) => {
  const words = name.replace(/\.[a-z0-9]+$/i, "").replace(/[-_]+/g, " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
};

export function addShipped(list) {
  for (const { name, thumb = `/api/styles/${encodeURIComponent(name)}`, ...about } of list) {
    styles.push({ key: name, title: title(name), own: false, thumb, ...about });
  }
}

export function addOwn(file, { key, name }) {
  const style = {
    key, title: title(name), card: false, own: true, file, thumb: URL.createObjectURL(file),
  };
  styles.unshift(style);
  return style;
}

export function removeOwn(style) {
  styles.splice(styles.indexOf(style), 1);
  URL.revokeObjectURL(style.thumb);
}

/** Draw the tiles. `chosen` are the styles of the area; the actions get a style. */
export function drawGallery(place, chosen, { choose, remove, add }) {
  const tiles = new Map([...place.querySelectorAll(".tile[data-key]")].map((tile) => [tile.dataset.key, tile]));
  const wanted = styles.map((style) => {
    const known = tiles.get(style.key);
    const tile = known ?? makeTile(style, { choose, remove });
    const number = chosen.indexOf(style);
    const button = tile.querySelector("button");
    button.setAttribute("aria-pressed", String(number >= 0));
    tile.classList.toggle("chosen", number >= 0);
    tile.dataset.number = chosen.length > 1 && number >= 0 ? number + 1 : "";
    return tile;
  });
  const first = place.querySelector(".tile.add") ?? makeAdd(add);
  const now = [first, ...wanted];
  // Tiles that stay keep the keyboard's focus.
  if (now.length !== place.children.length || now.some((tile, at) => place.children[at] !== tile)) {
    place.replaceChildren(...now);
  }
}

function makeAdd(add) {
  const tile = document.createElement("div");
  tile.className = "tile add";
  const button = document.createElement("button");
  button.type = "button";
  button.id = "add-style";
  const plus = document.createElement("span");
  plus.className = "plus";
  plus.textContent = "+";
  plus.setAttribute("aria-hidden", "true");
  const name = document.createElement("span");
  name.className = "name";
  name.textContent = "Your own";
  button.append(plus, name);
  button.addEventListener("click", add);
  tile.append(button);
  return tile;
}

function makeTile(style, { choose, remove }) {
  const tile = document.createElement("div");
  tile.className = "tile";
  tile.dataset.key = style.key;
  const button = document.createElement("button");
  button.type = "button";
  const image = new Image();
  image.loading = "lazy";
  image.alt = "";
  image.src = style.thumb;
  const name = document.createElement("span");
  name.className = "name";
  name.textContent = style.title;
  button.title = style.title;
  button.append(image, name);
  button.addEventListener("click", () => choose(style));
  tile.append(button);
  if (style.own) {
    const cross = document.createElement("button");
    cross.type = "button";
    cross.className = "cross";
    cross.textContent = "×";
    cross.setAttribute("aria-label", `Remove ${style.title}`);
    cross.addEventListener("click", () => remove(style));
    tile.append(cross);
  }
  return tile;
}
