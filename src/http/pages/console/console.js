// Improvements of the console, none of which is needed: times in the reader's zone, search while typing, selection of all
// rows, questions in dialogs, buttons that copy, and the progress of work in the background.
(() => {
  const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
  const minute = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

  const showTimes = (part) => {
    for (const time of part.querySelectorAll("time")) {
      const at = new Date(time.dateTime);
      time.title = at.toISOString().replace("T", " ").replace("Z", " UTC");
      time.textContent = ("day" in time.dataset ? day : minute).format(at);
    }
  };

  const offerAll = (part) => {
    for (const form of part.querySelectorAll("form[data-select]")) {
      const boxes = [...form.querySelectorAll("tbody input[type=checkbox]")];
      const [count, buttons] = [form.querySelector("[data-count]"), form.querySelectorAll(".selected button")];
      const all = document.createElement("input");
      all.type = "checkbox";
      all.setAttribute("aria-label", form.dataset.select);
      form.querySelector("thead .pick").replaceChildren(all);
      const update = () => {
        const chosen = boxes.filter((box) => box.checked).length;
        all.checked = chosen === boxes.length;
        all.indeterminate = chosen > 0 && !all.checked;
        count.textContent = count.dataset.count.replace("#", chosen);
        for (const button of buttons) button.disabled = chosen === 0;
      };
      all.addEventListener("change", () => {
        for (const box of boxes) box.checked = all.checked;
        update();
      });
      form.addEventListener("change", update);
      update();
    }
  };

  const offerCopies = (part) => {
    if (!navigator.clipboard) return;
    for (const text of part.querySelectorAll("code[data-copy]")) {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", className: "copy", textContent: text.dataset.copy });
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(text.textContent);
        button.textContent = text.dataset.copied;
      });
      text.after(button);
    }
  };

  const improve = (part) => [showTimes, offerAll, offerCopies].forEach((one) => one(part));

  const load = async (address, signal) => {
    const response = await fetch(address, { signal, headers: { accept: "text/html" } });
    if (!response.ok || response.redirected) throw new Error(`page: ${response.status}`);
    return new DOMParser().parseFromString(await response.text(), "text/html");
  };

  // Search while typing replaces the results, and the address, so that a reload shows the same.
  for (const form of document.querySelectorAll("form[data-live]")) {
    let waiting;
    let request;
    const search = async () => {
      request?.abort();
      request = new AbortController();
      const fields = [...new FormData(form)].filter(([, value]) => value !== "");
      const address = `${form.action}?${new URLSearchParams(fields)}`;
      try {
        const page = await load(address, request.signal);
        const results = document.getElementById(form.dataset.live);
        results.replaceChildren(...page.getElementById(form.dataset.live).childNodes);
        history.replaceState(null, "", address);
        improve(results);
      } catch (error) {
        if (error.name !== "AbortError") location.assign(address);
      }
    };
    form.addEventListener("input", (event) => {
      clearTimeout(waiting);
      waiting = setTimeout(search, event.target.type === "search" ? 200 : 0);
    });
  }

  // A question opens in a dialog. Its form is sent as it would be on its page.
  document.addEventListener("click", async (event) => {
    const link = event.target.closest("a[data-dialog]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    try {
      const page = await load(link.href);
      const dialog = document.createElement("dialog");
      const heading = page.querySelector("h1");
      heading.id = "question";
      dialog.setAttribute("aria-labelledby", heading.id);
      const question = page.querySelector(".question");
      question.prepend(heading);
      dialog.append(question);
      document.body.append(dialog);
      showTimes(dialog);
      dialog.addEventListener("close", () => dialog.remove());
      dialog.querySelector("[data-close]")?.addEventListener("click", (close) => {
        close.preventDefault();
        dialog.close();
      });
      dialog.showModal();
    } catch {
      location.assign(link.href);
    }
  });

  // The page of work in the background is loaded again until the work has ended.
  const follow = (part) => {
    if (!part?.dataset.reload) return;
    setTimeout(async () => {
      try {
        const next = (await load(location.href)).getElementById(part.id);
        part.replaceWith(next);
        improve(next);
        follow(next);
      } catch {
        location.reload();
      }
    }, Number(part.dataset.reload));
  };

  improve(document);
  follow(document.querySelector("[data-reload]"));
})();
