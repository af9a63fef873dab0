// Live refresh, and looking again while a page is being made. Nothing else: every page works without it.
(() => {
  "use strict";
  let button = null;
  let timer = 0;
  let loading = false;
  let live = sessionStorage.getItem("live") === "1";

  const say = (text) => {
    const status = document.getElementById("live-status");
    if (status) status.textContent = text;
  };

  const isBusyWithInput = (main) => {
    const focused = document.activeElement;
    const isField = focused && /^(INPUT|SELECT|TEXTAREA)$/.test(focused.tagName);
    return (isField && main.contains(focused)) || String(getSelection()).length > 0;
  };

  async function refresh() {
    const main = document.getElementById("main");
    if (loading || document.hidden || isBusyWithInput(main)) return;
    loading = true;
    main.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(location.href, { credentials: "same-origin", cache: "no-store" });
      if (answer.status === 401) {
        end(await answer.text());
        return;
      }
      if (!answer.ok) throw new Error(String(answer.status));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("main");
      if (!fresh) throw new Error("no content");
      const open = [...main.querySelectorAll("details")].map((details) => details.open);
      main.replaceChildren(...fresh.childNodes);
      main.querySelectorAll("details").forEach((details, at) => (details.open = open[at] || false));
      offer();
      say("Updated " + new Date().toISOString().slice(11, 19) + " UTC");
    } catch {
      say("Not updated: the service did not answer. It is tried again.");
    } finally {
      loading = false;
      document.getElementById("main").removeAttribute("aria-busy");
    }
  }

  // The answer took the cookie away and says why; loading the page anew would not.
  function end(text) {
    clearInterval(timer);
    const page = new DOMParser().parseFromString(text, "text/html");
    document.title = page.title;
    document.body.replaceWith(page.body);
    document.getElementById("token")?.focus();
  }

  function lookAgain(seconds) {
    setTimeout(async () => {
      const answer = await fetch(location.href, { credentials: "same-origin", cache: "no-store" }).catch(() => null);
      if (answer && answer.status !== 503) location.reload();
      else lookAgain(seconds);
    }, seconds * 1000);
  }

  function apply() {
    clearInterval(timer);
    button.setAttribute("aria-pressed", String(live));
    if (live) timer = setInterval(refresh, Number(button.dataset.every) * 1000);
  }

  function offer() {
    button = document.getElementById("live");
    if (!button) return;
    button.hidden = false;
    button.setAttribute("aria-pressed", String(live));
    button.addEventListener("click", () => {
      live = !live;
      sessionStorage.setItem("live", live ? "1" : "0");
      say(live ? "Updates every " + button.dataset.every + " s" : "");
      apply();
      if (live) refresh();
    });
  }

  // At phone width the navigation is wider than the page.
  document.querySelector(".side a[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  const again = document.querySelector("[data-again]");
  if (again) lookAgain(Number(again.dataset.again));
  offer();
  if (button) apply();
})();
