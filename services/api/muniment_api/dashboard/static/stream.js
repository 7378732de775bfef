// The stream of events. The browser reconnects by itself and says from where on (Last-Event-ID).

const RETRY_MILLISECONDS = 3000;

/** Calls `onEvent` with each event of these types and `onState` with "connecting", "live" or "offline". */
export function follow(types, { onEvent, onState }) {
  let source = null;
  let retry = null;

  function open() {
    close();
    onState("connecting");
    source = new EventSource("api/v1/events");
    source.onopen = () => onState("live");
    source.onerror = () => {
      onState("offline");
      // an answer other than 200 (a proxy without its server, say) makes browsers give up
      if (source.readyState === EventSource.CLOSED) retry = setTimeout(open, RETRY_MILLISECONDS);
    };
    for (const type of types) source.addEventListener(type, (message) => onEvent(JSON.parse(message.data)));
  }

  function close() {
    clearTimeout(retry);
    source?.close();
  }

  // a browser opens six connections to a server over all its tabs: tabs that nobody sees must not hold one
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  if (!document.hidden) open();
}
