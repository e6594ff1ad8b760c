// Everything works without this: it refreshes the page by itself, and copies.
"use strict";

function offerCopies() {
  if (!navigator.clipboard) return;
  for (const button of document.querySelectorAll("button[data-copy]")) {
    button.hidden = false;
    button.onclick = async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      button.textContent = button.dataset.copied;
    };
  }
}

function isBusy() {
  const here = document.activeElement;
  return document.hidden || document.querySelector("main details[open]") !== null ||
    (here !== null && here.matches("main input, main select, main textarea"));
}

// Is what is shown what the gateway says now?
async function refresh() {
  const main = document.querySelector("main");
  if (isBusy()) return false;
  const response = await fetch(location.href, { cache: "no-store" });
  if (response.redirected) {
    location.reload();
    return false;
  }
  if (!response.ok) throw new Error(`the gateway answers ${response.status}`);
  const next = new DOMParser().parseFromString(await response.text(), "text/html").querySelector("main");
  if (next === null || isBusy()) return false;
  const focused = document.activeElement?.closest("main a")?.getAttribute("href");
  main.replaceChildren(...next.childNodes);
  if (focused) main.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  offerCopies();
  return true;
}

offerCopies();
// What was just done is said once.
if (location.search) {
  const asked = new URLSearchParams(location.search);
  for (const once of ["done", "decided", "ended"]) asked.delete(once);
  history.replaceState(null, "", location.pathname + (asked.size ? `?${asked}` : ""));
}

async function look() {
  const stale = document.getElementById("stale");
  try {
    if (await refresh()) stale.hidden = true;
  } catch {
    stale.hidden = false;  // never let what is old pass for what is
  }
}

const seconds = Number(document.querySelector("main").dataset.live);
if (seconds) {
  setInterval(look, seconds * 1000);
  document.addEventListener("visibilitychange", look);
}
