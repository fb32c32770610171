// Browsers let a page sound and hear only if nobody on its way can have changed it: over https, or from this machine.
// Any other page says so, and starts nothing: what it started would hold a seat that nobody hears.

const STARTS = '[id$="-start"], [id$="-check"], [id$="-loopback"], [data-hum]';

function insecure() {
  const { hostname, port } = location, to = port || "80";
  return "This page came over plain http from another machine, and browsers let such a page play no sound. Open it " +
    `over https; or run  ssh -L ${to}:${hostname}:${to} ${hostname}  here and open 127.0.0.1:${to} instead.`;
}

if (!window.isSecureContext) {
  say(insecure());
  document.addEventListener("click", (event) => {
    if (!event.target.closest(STARTS)) return;
    event.stopImmediatePropagation();
    event.preventDefault();
    say(insecure());
  }, { capture: true });
}
