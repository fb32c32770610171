// Whether the page plays the microphone at once: one box for all tabs, as there is one microphone.
const monitored = element.querySelector("[data-monitor]");
monitored.addEventListener("change", () => feed.monitor(monitored.checked));
