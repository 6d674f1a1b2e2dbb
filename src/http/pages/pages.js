// Niceties of the pages, which all work without this script: a button that shows a password, a hint about caps lock,
// buttons that cannot be clicked twice, times in the reader's zone, and a button that copies codes. The texts are in
// attributes of the body.
(() => {
  const text = (name) => document.body.dataset[name];

  const button = (label) => {
    const made = document.createElement("button");
    made.type = "button";
    made.className = "small";
    made.textContent = label;
    return made;
  };

  const passwords = (input) => {
    const hint = document.createElement("p");
    hint.className = "hint";
    hint.setAttribute("role", "status");
    const show = button("");
    const label = (name) => {
      show.textContent = text(name);
      show.setAttribute("aria-label", `${text(name)}: ${input.labels[0].textContent}`);
    };
    label("show");
    show.addEventListener("click", () => {
      const isShown = input.type === "password";
      input.type = isShown ? "text" : "password";
      label(isShown ? "hide" : "show");
    });
    // A shown password would be stored by the browser as a typed text.
    input.form.addEventListener("submit", () => {
      input.type = "password";
    });
    const caps = (event) => {
      const isOn = event.getModifierState?.("CapsLock") ?? false;
      const said = isOn ? text("caps") : "";
      if (hint.textContent !== said) hint.textContent = said;
    };
    input.addEventListener("keydown", caps);
    input.addEventListener("keyup", caps);
    input.addEventListener("blur", () => {
      hint.textContent = "";
    });
    const row = document.createElement("div");
    row.className = "secret";
    input.replaceWith(row);
    row.append(input, show);
    row.after(hint);
  };

  // A form that was sent waits for its answer. One that starts a download stays usable.
  const waiting = (form) => {
    form.addEventListener("submit", (event) => {
      if (form.dataset.sent) {
        event.preventDefault();
        return;
      }
      if (event.defaultPrevented || "download" in form.dataset) return;
      form.dataset.sent = "1";
      form.querySelector("button[type=submit]")?.setAttribute("aria-busy", "true");
    });
  };
  // A page that comes back from the browser's memory is not waiting.
  addEventListener("pageshow", () => {
    document.querySelectorAll("form[data-sent]").forEach((form) => {
      delete form.dataset.sent;
      form.querySelector("button[type=submit]")?.removeAttribute("aria-busy");
    });
  });

  const local = (time) => {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) return;
    time.title = time.textContent;
    time.textContent = at.toLocaleString(document.documentElement.lang, { dateStyle: "long", timeStyle: "short" });
  };

  const copying = (list) => {
    if (!navigator.clipboard) return;
    const copy = button(text("copy"));
    copy.addEventListener("click", async () => {
      const codes = [...list.querySelectorAll("code")].map((code) => code.textContent);
      await navigator.clipboard.writeText(codes.join("\n"));
      copy.textContent = text("copied");
    });
    list.after(copy);
  };

  document.querySelectorAll("input[type=password]").forEach(passwords);
  document.querySelectorAll("form:not([data-passkey])").forEach(waiting);
  document.querySelectorAll("time").forEach(local);
  document.querySelectorAll(".codes").forEach(copying);
})();
