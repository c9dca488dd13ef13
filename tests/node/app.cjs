// A typical web app for Node: a page, an API, server-sent events, and a WebSocket. It prints its port.

const http = require("node:http");
const fs = require("node:fs");
const path = require("node:path");
const { WebSocketServer } = require("ws");

const page = fs.readFileSync(path.join(__dirname, "page.html"));

// Clients that wait for events; each is sent the next one once it has confirmed the last.
const listeners = new Map();

function events(request, response) {
  const name = new URL(request.url, "http://app").searchParams.get("name");
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
  const next = (number) => response.write(`id: ${number}\ndata: event ${number}\n\n`);
  listeners.set(name, next);
  request.on("close", () => listeners.delete(name));
  next(1);
}

async function count(request) {
  let bytes = 0;
  for await (const piece of request) bytes += piece.length;
  return bytes;
}

const server = http.createServer(async (request, response) => {
  const url = new URL(request.url, "http://app");
  switch (url.pathname) {
    case "/":
      response.setHeader("content-type", "text/html; charset=utf-8");
      return response.end(page);
    case "/events":
      return events(request, response);
    case "/heard": {
      const next = listeners.get(url.searchParams.get("name"));
      next(Number(url.searchParams.get("number")) + 1);
      return response.writeHead(204).end();
    }
    case "/count":
      response.setHeader("content-type", "application/json");
      return response.end(JSON.stringify({ method: request.method, bytes: await count(request) }));
    case "/text":
      response.setHeader("content-type", "text/plain");
      return response.end("words ".repeat(50_000));
    default:
      return response.writeHead(404).end();
  }
});

const sockets = new WebSocketServer({ server, path: "/socket", perMessageDeflate: true });
sockets.on("connection", (socket) => {
  socket.on("message", (data, isBinary) => {
    if (!isBinary && data.toString() === "close") return socket.close(4001, "as you wish");
    socket.send(data, { binary: isBinary });
  });
  socket.ping("are you there");
  socket.on("pong", (data) => socket.send(`pong: ${data}`));
});

server.listen(0, "127.0.0.1", () => console.log(server.address().port));
