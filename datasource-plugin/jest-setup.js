// Jest setup provided by Grafana scaffolding
import './.config/jest-setup';

// React's server renderer, which @grafana/ui loads, wants one when it is loaded; jsdom has none, and that of Node
// would keep the process alive. Nothing is sent through it in these tests.
class MessageChannel {
  port1 = { onmessage: null };
  port2 = {
    postMessage: (data) => setTimeout(() => this.port1.onmessage?.({ data }), 0),
  };
}
global.MessageChannel ??= MessageChannel;
