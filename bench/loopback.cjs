// Loaded before Portkey's gateway, which has no option for its address and fails every stream on newer Node.js.
const net = require('net');

// Listen on loopback only.
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (...args) {
  if (typeof args[0] === 'number' || typeof args[0] === 'string') {
    args.splice(1, typeof args[1] === 'string' ? 1 : 0, '127.0.0.1');
  } else if (args[0] && typeof args[0] === 'object' && 'port' in args[0]) {
    args[0] = { ...args[0], host: '127.0.0.1' };
  }
  return listen.apply(this, args);
};

// It appends to the headers of a response, which fetch() makes immutable (Portkey-AI/gateway#1389): give it a copy.
const realFetch = globalThis.fetch;
globalThis.fetch = async (...args) => {
  const response = await realFetch(...args);
  const { status, statusText } = response;
  return new Response(response.body, { status, statusText, headers: new Headers(response.headers) });
};
