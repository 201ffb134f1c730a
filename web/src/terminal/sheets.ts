/**
 * The policy of the page refuses `<style>` elements, which xterm.js makes for its colours and sizes. A style sheet made by script is
 * allowed (https://www.w3.org/TR/cssom-1/#dom-cssstylesheet-cssstylesheet), so each of them becomes one.
 */
const sheetElement = (document: Document): HTMLElement => {
  const element = document.createElement("span");
  element.hidden = true;
  const sheet = new CSSStyleSheet();
  document.adoptedStyleSheets.push(sheet);
  Object.defineProperty(element, "textContent", { get: () => "", set: (text: string) => sheet.replaceSync(text) });
  element.remove = () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((each) => each !== sheet);
    HTMLElement.prototype.remove.call(element);
  };
  return element;
};

/** Does what makes `<style>` elements, at once; style sheets come out of it. xterm.js makes all of its own while it is opened. */
export const withSheets = (work: () => void): void => {
  const own = document.createElement.bind(document);
  const create = (name: string, options?: ElementCreationOptions) => (name === "style" ? sheetElement(document) : own(name, options));
  Object.defineProperty(document, "createElement", { value: create, configurable: true });
  try {
    work();
  } finally {
    // What is left is the document's own again, which its prototype has.
    Reflect.deleteProperty(document, "createElement");
  }
};
