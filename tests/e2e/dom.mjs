// What the web SDK needs of a browser, for node: `node --import ./dom.mjs page.mjs`.
import { JSDOM, VirtualConsole } from 'jsdom';

// A lost connection is no news here.
const { window } = new JSDOM('', { url: 'http://localhost/', virtualConsole: new VirtualConsole() });
globalThis.window = window;
globalThis.XMLHttpRequest = window.XMLHttpRequest;
// Newer versions of node have one of their own, which lacks what the SDK looks for.
Object.defineProperty(globalThis, 'navigator', { value: window.navigator, configurable: true });
// What a page would get from its own server.
globalThis.key = process.env.HOOKMOON_KEY;
