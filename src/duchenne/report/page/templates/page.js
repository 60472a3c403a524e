"use strict";
// The map of units × action units, and units' cards in a dialog; everything else on the page works without.
(() => {
  document.documentElement.classList.add("script");
  const data = JSON.parse(document.getElementById("data").textContent) || {codes: [], units: [], scores: []};
  const get = (id) => document.getElementById(id);
  const dialog = get("unit"), held = get("unit-card");
  const onPage = new Map([...document.querySelectorAll("main article[data-unit]")].map((card) => [Number(card.dataset.unit), card]));
  const cards = [...document.querySelectorAll("template[id^=card-]")].map((card) => Number(card.id.slice(5)));
  cards.push(...onPage.keys());
  cards.sort((a, b) => a - b);
  const CHUNK = 64;
  let listed = cards, opener = null, method = null, untrained = false;

  // the map

  const rows = get("rows");
  if (rows) {
    const state = {score: data.scores[0].key, order: "kind", search: "", sure: false};
    const scoreOf = (key) => data.scores.find((score) => score.key === key);
    const place = (code) => data.codes.indexOf(code);
    const haystack = data.units.map((unit) =>
      `${unit.unit} unit ${unit.unit} ${unit.expression} ${unit.detects.length ? unit.detects.map((at) => `${data.codes[at]} ${data.names[at]}`).join(" ") : unit.strongest}`.toLowerCase());

    const matching = () => {
      const words = state.search.toLowerCase().split(/\s+/).filter(Boolean);
      return data.units.filter((unit, at) => (!state.sure || unit.detects.length) &&
        words.every((word) => /^\d+$/.test(word) ? String(unit.unit) === word : haystack[at].includes(word)));
    };
    const value = (score, unit, at) => score.values[unit.unit][at];
    const ordered = (units) => {
      const score = scoreOf(state.score);
      if (state.order === "unit") return units;
      if (state.order !== "kind") {
        const at = place(state.order);
        return [...units].sort((a, b) => (value(score, b, at) ?? -Infinity) - (value(score, a, at) ?? -Infinity));
      }
      const best = new Map(units.map((unit) => {
        let most = 0;
        score.values[unit.unit].forEach((each, at, all) => { if ((each ?? -Infinity) > (all[most] ?? -Infinity)) most = at; });
        return [unit, [most, value(score, unit, most) ?? -Infinity]];
      }));
      return [...units].sort((a, b) => best.get(a)[0] - best.get(b)[0] || best.get(b)[1] - best.get(a)[1]);
    };
    const cell = (score, unit, at) => {
      const td = document.createElement("td"), number = value(score, unit, at);
      td.className = unit.detects.includes(at) ? "v sure" : "v";
      if (number === null) return td;
      const away = (number - score.middle) / score.widest;
      td.style.setProperty("--v", Math.min(1, Math.abs(away)).toFixed(2));
      td.style.setProperty("--tint", away < 0 ? "var(--cold)" : "var(--hot)");
      td.textContent = Math.abs(number) >= 10 ? number.toFixed(0) : number.toFixed(score.digits);
      td.title = `unit ${unit.unit}, ${data.codes[at]} ${data.names[at]}: ${score.label} ${number}`;
      return td;
    };
    const row = (unit) => {
      const tr = document.createElement("tr"), head = document.createElement("th"), link = document.createElement("a");
      link.href = `#unit-${unit.unit}`;
      link.textContent = unit.unit;
      link.setAttribute("aria-label", `unit ${unit.unit}`);
      head.scope = "row";
      head.append(link);
      tr.append(head, ...[unit.strongest, unit.expression].map((text) => Object.assign(document.createElement("td"), {textContent: text})));
      const score = scoreOf(state.score);
      tr.append(...data.codes.map((_, at) => cell(score, unit, at)));
      tr.addEventListener("click", (event) => { if (event.target !== link) location.hash = link.hash; });
      return tr;
    };
    let left = [];
    const more = () => rows.append(...left.splice(0, CHUNK).map(row));
    const draw = () => {
      const shown = ordered(matching());
      listed = shown.map((unit) => unit.unit);
      left = [...shown];
      rows.replaceChildren();
      more();
      get("count").textContent = `${shown.length} of ${data.units.length} units`;
      get("score-says").textContent = scoreOf(state.score).says;
      document.querySelectorAll("[data-order]").forEach((button) => {
        const chosen = button.dataset.order === state.order, head = button.closest("th");
        button.setAttribute("aria-pressed", String(chosen));
        if (chosen) head.setAttribute("aria-sort", state.order === "unit" ? "ascending" : "descending");
        else head.removeAttribute("aria-sort");
      });
    };
    const box = rows.closest(".map");
    box.addEventListener("scroll", () => { while (left.length && box.scrollTop + 2 * box.clientHeight > box.scrollHeight) more(); });
    get("score").addEventListener("change", (event) => { state.score = event.target.value; draw(); });
    get("order").addEventListener("change", (event) => { state.order = event.target.value; draw(); });
    get("search").addEventListener("input", (event) => { state.search = event.target.value; draw(); });
    get("sure").addEventListener("change", (event) => { state.sure = event.target.checked; draw(); });
    document.querySelectorAll("[data-order]").forEach((button) => button.addEventListener("click", () => {
      state.order = get("order").value = button.dataset.order;
      draw();
    }));
    document.querySelectorAll("[data-search]").forEach((button) => button.addEventListener("click", () => {
      state.search = get("search").value = button.dataset.search;
      state.sure = get("sure").checked = true;
      draw();
      get("map").scrollIntoView();
      get("search").focus({preventScroll: true});
    }));
    draw();
  }

  // units' cards

  const settle = (card) => {
    card.querySelectorAll("input[type=radio]").forEach((radio) => { if (radio.value === method) radio.checked = true; });
    const box = card.querySelector(".untrained");
    if (box) box.checked = untrained;
  };
  const show = (unit) => {
    const kept = onPage.get(unit) ?? get(`card-${unit}`)?.content.firstElementChild;
    if (!kept) return;
    const card = kept.cloneNode(true);
    card.querySelectorAll("input[type=radio]").forEach((radio) => { radio.name = "method"; });
    settle(card);
    held.replaceChildren(card);
    get("unit-title").textContent = `Unit ${unit}`;
    const at = listed.indexOf(unit);
    get("before").disabled = at <= 0;
    get("after").disabled = at < 0 || at === listed.length - 1;
    if (!dialog.open) {
      opener = document.activeElement;
      dialog.showModal();
      get("close").focus();
    }
    dialog.scrollTop = 0;
  };
  const open = () => {
    const asked = /^#unit-(\d+)$/.exec(location.hash);
    if (asked) return show(Number(asked[1]));
    if (dialog.open) dialog.close();
    const target = location.hash && get(decodeURIComponent(location.hash.slice(1)));
    if (target && target.tabIndex === -1) target.focus({preventScroll: true});
  };
  const step = (by) => {
    const at = listed.indexOf(Number(location.hash.slice(6))), next = listed[at + by];
    if (at >= 0 && next !== undefined) history.replaceState(null, "", `#unit-${next}`), show(next);
  };
  dialog.addEventListener("close", () => {
    if (location.hash.startsWith("#unit-")) history.replaceState(null, "", location.pathname + location.search);
    if (opener && opener.isConnected) opener.focus({preventScroll: true});
  });
  dialog.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (event.target === dialog) dialog.close();
    else if (link && !link.hash.startsWith("#unit-")) opener = null;
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.target.matches("input")) return;
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches(".switch input[type=radio]")) method = event.target.value;
    if (event.target.matches(".switch .untrained")) untrained = event.target.checked;
  });
  get("close").addEventListener("click", () => dialog.close());
  get("before").addEventListener("click", () => step(-1));
  get("after").addEventListener("click", () => step(1));
  const folded = [...document.querySelectorAll("main details")];
  addEventListener("beforeprint", () => folded.forEach((each) => { each.dataset.was = each.open; each.open = true; }));
  addEventListener("afterprint", () => folded.forEach((each) => { each.open = each.dataset.was === "true"; }));
  addEventListener("hashchange", open);
  open();
})();
