/** Drives a `Connection` with the browser's WebSocket and timers. Decides nothing. */
export class Wire {
  /** `onFrame`, `onState`, `onSignedOut` hear what the machine says. */
  constructor(connection, { url, onFrame, onState, onSignedOut }) {
    this.connection = connection;
    this.url = url;
    this.on = { onFrame, onState, onSignedOut };
    this.socket = null;
    this.timer = 0;
    this.draining = false;
    window.addEventListener('online', () => this.tell((c, now) => c.setOnline(now, true)));
    window.addEventListener('offline', () => this.tell((c, now) => c.setOnline(now, false)));
    // A page that was asleep has missed its timers.
    document.addEventListener('visibilitychange', () => this.tell((c, now) => c.tick(now)));
  }

  /** Tells the machine something, then does what it says. */
  tell(say) {
    const result = say(this.connection, Date.now());
    this.#drain();
    return result;
  }

  #drain() {
    if (this.draining) return;
    this.draining = true;
    for (let effect = this.connection.poll(); effect; effect = this.connection.poll()) this.#perform(effect);
    this.draining = false;
    clearTimeout(this.timer);
    const deadline = this.connection.deadline();
    if (deadline !== null) {
      const wait = Math.min(Math.max(0, deadline - Date.now()), 2 ** 30);
      this.timer = setTimeout(() => this.tell((c, now) => c.tick(now)), wait);
    }
  }

  #perform(effect) {
    switch (effect.do) {
      case 'dial':
        this.#dial(effect.protocols, effect.query);
        break;
      case 'send':
        if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(effect.text);
        break;
      case 'hang_up':
        this.#hangUp(effect.reason);
        break;
      case 'frame':
        this.on.onFrame(effect.frame);
        break;
      case 'signed_out':
        this.on.onSignedOut(effect.why);
        break;
      default:
        this.on.onState();
    }
  }

  #dial(protocols, query) {
    this.#hangUp('dialling anew');
    const socket = new WebSocket(query ? `${this.url}?${query}` : this.url, protocols);
    this.socket = socket;
    const current = (say) => (event) => {
      if (this.socket === socket) this.tell((c, now) => say(c, now, event));
    };
    socket.addEventListener('open', current((c, now) => c.opened(now, socket.protocol)));
    socket.addEventListener('message', current((c, now, event) => typeof event.data === 'string' && c.received(now, event.data)));
    socket.addEventListener('close', current((c, now, event) => {
      this.socket = null;
      c.closed(now, event.code);
    }));
  }

  #hangUp(reason) {
    const socket = this.socket;
    this.socket = null;
    // Scripts may close with 1000 or 3000 to 4999 only; the reason is for whoever reads a capture.
    if (socket && socket.readyState <= WebSocket.OPEN) socket.close(1000, reason.slice(0, 100));
  }
}
