// Messages, which pass after a while.

const toasts = document.getElementById("toasts");

export function say(text, wrong = false) {
  const toast = document.createElement("div");
  toast.className = wrong ? "toast wrong" : "toast";
  const words = document.createElement("span");
  words.textContent = text;
  const close = document.createElement("button");
  close.type = "button";
  close.textContent = "×";
  close.setAttribute("aria-label", "Close the message");
  close.addEventListener("click", () => toast.remove());
  toast.append(words, close);
  // What is said again is shown once.
  const others = [...toasts.children].filter((one) => one.firstChild.textContent !== text);
  toasts.replaceChildren(...others.slice(-2), toast);
  setTimeout(() => toast.remove(), wrong ? 12000 : 5000);
}
