// The editor of rules: CodeMirror (vendor/README.txt), loaded with the first edit, with completion and checks as one types.

const CHECK_AFTER_MS = 600;

const looks = {
  "&": { color: "var(--text)", background: "var(--field)", border: "1px solid var(--quiet)", borderRadius: "6px", fontSize: ".86rem" },
  "&.cm-focused": { outline: "3px solid var(--accent)", outlineOffset: "2px" },
  ".cm-scroller": { fontFamily: "ui-monospace, monospace", lineHeight: "1.5", minHeight: "18rem", maxHeight: "36rem", overflow: "auto" },
  ".cm-content": { caretColor: "var(--text)" },
  ".cm-gutters": { background: "var(--page)", color: "var(--quiet)", borderRight: "1px solid var(--line)" },
  ".cm-activeLine": { background: "color-mix(in srgb, var(--accent) 9%, transparent)" },
  "&.cm-focused .cm-matchingBracket": { background: "var(--track)" },
  ".cm-searchMatch, .cm-selectionMatch": { background: "var(--warn-back)", color: "var(--warn)" },
  ".cm-tooltip, .cm-panels": { background: "var(--panel)", color: "var(--text)", border: "1px solid var(--line)" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "ui-monospace, monospace", maxHeight: "15rem" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li[aria-selected]": { background: "var(--accent)", color: "var(--panel)" },
  ".cm-completionDetail": { marginLeft: ".8em", fontStyle: "normal", opacity: ".85" },
  ".cm-completionInfo.cm-completionInfo-right-narrow": { left: "14px" }, // on a phone: its width counts on 30px, and ends at the very edge
  ".cm-completionInfo": { maxWidth: "24rem", fontFamily: "system-ui, sans-serif" },
  ".cm-textfield, .cm-button": { background: "var(--field)", color: "var(--text)", border: "1px solid var(--quiet)", borderRadius: "6px" },
  // Without the component's own pictures, which the policy of the page does not allow.
  ".cm-lintRange-error": { backgroundImage: "none", textDecoration: "underline wavy var(--loss)" },
  ".cm-lintRange-warning": { backgroundImage: "none", textDecoration: "underline wavy var(--warn-line)" },
  ".cm-lint-marker": { width: ".6em", height: ".6em", borderRadius: "50%", margin: ".45em auto 0" },
  ".cm-lint-marker-error": { content: "normal", background: "var(--loss)" },
  ".cm-lint-marker-warning": { content: "normal", background: "var(--warn-line)" },
  ".cm-diagnostic": { fontFamily: "system-ui, sans-serif", maxWidth: "36rem" },
};

const colours = (tags) => [
  { tag: [tags.definition(tags.propertyName), tags.propertyName], color: "var(--accent)" },
  { tag: tags.comment, color: "var(--quiet)", fontStyle: "italic" },
  { tag: tags.string, color: "var(--gain)" },
  { tag: [tags.separator, tags.punctuation, tags.brace, tags.squareBracket], color: "var(--quiet)" },
];

// Like a field of text: it has a value, and can be told where to go. Its style stands in a shadow, where no policy of
// the page has to allow it.
class RulesText extends HTMLElement {
  #view = null;
  #code = null;

  // ``complete`` says what could come at a position, ``check`` what is wrong with a text: [{ line, column, message, isOnlyNoticed }].
  async prepare({ complete, check }) {
    if (this.#view) return;
    const code = this.#code = await import("./vendor/codemirror.js");
    const told = async (view) => (await check(view.state.doc.toString())).map((problem) => this.#marked(view.state.doc, problem));
    const options = (context) => {
      const found = complete(context.state.doc.toString(), context.pos);
      return found && (context.explicit || found.from < context.pos) ? { ...found, validFor: /^\w*$/ } : null;
    };
    this.#view = new code.EditorView({
      root: this.attachShadow({ mode: "open" }),
      parent: this.shadowRoot,
      extensions: [
        code.lineNumbers(), code.history(), code.highlightActiveLine(), code.bracketMatching(), code.indentUnit.of("  "), code.yaml(), code.search({ top: true }), code.lintGutter(),
        code.syntaxHighlighting(code.HighlightStyle.define(colours(code.tags))), code.EditorView.theme(looks), code.EditorView.lineWrapping,
        code.EditorView.contentAttributes.of({ "aria-label": this.getAttribute("aria-label"), autocapitalize: "off", spellcheck: "false", tabindex: "0" }),
        code.autocompletion({ override: [options], icons: false }), code.linter(told, { delay: CHECK_AFTER_MS }),
        code.keymap.of([...code.completionKeymap, ...code.lintKeymap, ...code.searchKeymap, ...code.historyKeymap, ...code.defaultKeymap]),
      ],
    });
  }

  #marked(doc, { line, column, message, isOnlyNoticed }) {
    const row = doc.line(Math.max(1, Math.min(line, doc.lines)));
    const from = Math.min(row.from + Math.max(0, column - 1), row.to);
    const word = row.text.slice(from - row.from).match(/^[\w.]+/)?.[0].length ?? 1;
    return { from, to: Math.min(from + word, row.to), severity: isOnlyNoticed ? "warning" : "error", message };
  }

  get value() {
    return this.#view?.state.doc.toString() ?? "";
  }

  set value(text) {
    this.#view.dispatch({ changes: { from: 0, to: this.#view.state.doc.length, insert: text }, selection: { anchor: 0 } });
  }

  goTo({ line, column }) {
    const { from } = this.#marked(this.#view.state.doc, { line, column });
    this.#view.dispatch({ selection: { anchor: from }, effects: this.#code.EditorView.scrollIntoView(from, { y: "center" }) });
    this.focus();
  }

  focus() {
    this.#view.focus();
  }
}

customElements.define("rules-text", RulesText);
