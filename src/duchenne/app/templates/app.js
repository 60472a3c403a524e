"use strict";
// The live page: one request at a time, the newest wish wins; nothing is kept.
(() => {
  const get = (id) => document.getElementById(id);
  const sliders = [...document.querySelectorAll("[data-au]")];
  let person = 1, waiting = null, busy = false, chosen = 0, wanted = null, last = null, stream = null, beat = 0;

  // asking

  const ask = async (path, body) => {
    waiting = [path, body];
    if (busy) return;
    busy = true;
    while (waiting) {
      const [to, what] = waiting;
      waiting = null;
      const began = performance.now();
      try {
        const answer = await fetch(to, {method: "POST", body: what});
        const told = await answer.json().catch(() => ({error: `the server answered ${answer.status}`}));
        if (told.error) get("error").textContent = told.error;
        else show(told, performance.now() - began);
      } catch { get("error").textContent = "the server does not answer: is it still running?"; }
    }
    busy = false;
  };
  const draw = () => ask("draw", JSON.stringify({person, action_units:
    Object.fromEntries(sliders.filter((each) => Number(each.value)).map((each) => [each.dataset.au, Number(each.value)]))}));
  const read = (picture) => {
    if (!picture) return;
    if (picture.type && !picture.type.startsWith("image/")) get("error").textContent = "that is not a picture";
    else if (picture.size > 16 * 2 ** 20) get("error").textContent = "the picture has more than 16 MiB";
    else ask("read", picture);
  };

  // showing

  const element = (name, properties, ...inside) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...inside);
    return made;
  };
  const lay = () => {
    const unit = last.units[chosen];
    get("laid").hidden = !unit;
    if (unit) get("laid").src = unit.seen;
    document.querySelectorAll("#units button").forEach((button, at) => button.setAttribute("aria-pressed", String(at === chosen)));
  };
  const show = (told, took) => {
    last = told;
    get("error").textContent = "";
    get("note").textContent = told.note;
    get("face").src = told.face;
    get("face").hidden = false;
    const values = Object.entries(told.values).map(([name, value]) => [name, value.toFixed(2).replace("-", "−")]);
    const first = Math.max(...Object.values(told.shares));
    const best = Object.keys(told.shares).find((name) => told.shares[name] === first);
    const most = Object.entries(told.shares).sort((one, other) => other[1] - one[1]).slice(0, 3);
    const gist = [...most.map(([name, share]) => `${name} ${(100 * share).toFixed(0)} %`), ...values.slice(0, 3).map((pair) => pair.join(" "))];
    get("heard").textContent = best ? `It reads ${best}.` : values.map((pair) => pair.join(" ")).join(", ");
    get("gist").textContent = gist.join("\n");
    const classes = Object.entries(told.shares).flatMap(([name, share]) => {
      const bar = element("i");
      bar.style.width = `${100 * share}%`;
      return [element("dt", {textContent: name, className: share === first ? "first" : ""}),
        element("dd", {className: "bar"}, bar), element("dd", {textContent: `${(100 * share).toFixed(0)} %`})];
    });
    const numbers = values.flatMap(([name, value]) => [element("dt", {textContent: name}), element("dd", {}), element("dd", {textContent: value})]);
    get("shares").replaceChildren(...classes, ...numbers);
    chosen = Math.max(told.units.findIndex((unit) => unit.unit === wanted), wanted === null ? told.units.findIndex((unit) => unit.detects) : 0, 0);
    const made = told.units.map((unit, at) => {
      const button = element("button", {type: "button"}, element("span", {textContent: `unit ${unit.unit}`}),
        element("span", {textContent: `${unit.above < 0 ? "−" : "+"}${Math.abs(unit.above).toFixed(1)}`}),
        element("span", {textContent: unit.action_unit + (unit.detects || !unit.action_unit ? "" : " (not sure)"), className: unit.detects ? "" : "unsure"}));
      button.addEventListener("click", () => { chosen = at; wanted = unit.unit; lay(); });
      return element("li", {}, button);
    });
    const focused = [...document.querySelectorAll("#units button")].indexOf(document.activeElement);
    get("units").replaceChildren(...made);
    if (focused >= 0) document.querySelectorAll("#units button")[Math.min(focused, made.length - 1)]?.focus();
    lay();
    get("took").textContent = told.network_ms > took
      ? `The network took ${told.network_ms.toFixed(0)} ms when it was first asked for this face.`
      : `The network took ${told.network_ms.toFixed(0)} ms, all of it ${took.toFixed(0)} ms.`;
    get("took").dataset.network = told.network_ms;
    get("took").dataset.all = took;
  };

  // where faces come from

  sliders.forEach((slider) => slider.addEventListener("input", draw));
  get("rest").addEventListener("click", () => { sliders.forEach((slider) => { slider.value = 0; }); draw(); });
  get("other").addEventListener("click", () => { person = (person + 1) % 10000; draw(); });
  get("file").addEventListener("change", (event) => { read(event.target.files[0]); event.target.value = ""; });
  const take = (picture) => {
    if (!picture) return;
    select(get("tab-photo"));
    read(picture);
  };
  addEventListener("paste", (event) => take([...event.clipboardData.files][0]));
  addEventListener("dragover", (event) => { event.preventDefault(); get("drop").classList.add("over"); });
  addEventListener("dragleave", () => get("drop").classList.remove("over"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    get("drop").classList.remove("over");
    take(event.dataTransfer.files[0]);
  });
  const end = () => {
    clearInterval(beat);
    stream?.getTracks().forEach((track) => track.stop());
    stream = null;
    get("video").hidden = true;
    get("camera").textContent = "Start the camera";
  };
  get("camera").addEventListener("click", async () => {
    if (stream) return end();
    get("camera").disabled = true;
    let allowed;
    try { allowed = await navigator.mediaDevices.getUserMedia({video: {width: 640, height: 480}}); }
    catch { get("error").textContent = "the camera cannot be used: is it allowed, and free?"; return; }
    finally { get("camera").disabled = false; }
    if (get("tab-webcam").getAttribute("aria-selected") !== "true") return allowed.getTracks().forEach((track) => track.stop());
    stream = allowed;
    const video = get("video"), canvas = document.createElement("canvas");
    video.srcObject = stream;
    video.hidden = false;
    get("camera").textContent = "Stop the camera";
    await video.play();
    beat = setInterval(() => {
      if (busy || !video.videoWidth) return;
      [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
      canvas.getContext("2d").drawImage(video, 0, 0);
      canvas.toBlob((blob) => { if (stream) read(blob); }, "image/jpeg", .9);
    }, 200);
  });

  const tabs = [...document.querySelectorAll("[role=tab]")];
  const select = (tab) => {
    tabs.forEach((each) => {
      each.setAttribute("aria-selected", String(each === tab));
      each.tabIndex = each === tab ? 0 : -1;
      get(each.getAttribute("aria-controls")).hidden = each !== tab;
    });
    get("place").classList.toggle("sliding", tab.id === "tab-sliders");
    if (tab.id !== "tab-webcam") end();
    if (tab.id === "tab-sliders") draw();
  };
  tabs.forEach((tab, at) => {
    tab.addEventListener("click", () => select(tab));
    tab.addEventListener("keydown", (event) => {
      const by = {ArrowRight: 1, ArrowLeft: -1}[event.key];
      if (by) { const next = tabs[(at + by + tabs.length) % tabs.length]; next.focus(); select(next); }
    });
  });
  draw();
})();
