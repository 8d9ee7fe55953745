// What could come next in a text of rules: keys and values by its schema, and the names that the text itself declares.

const OPEN = { "{": "map", "[": "list" };
const WORD = /[A-Za-z_][\w]*$/;

// The keys that a line opens, each with its column: "  - id: x" opens an item and "id". Lists are "[]".
function opened(line) {
  const keys = [];
  let at = line.match(/^ */)[0].length;
  for (let item = line.slice(at).match(/^-( +|$)/); item; item = line.slice(at).match(/^-( +|$)/)) {
    keys.push({ column: at, key: "[]" });
    at += item[0].length;
  }
  const key = line.slice(at).match(/^(["']?)([\w.]+)\1\s*:(\s+|$)/);
  const column = at;
  if (key) keys.push({ column, key: key[2] });
  return { keys, column, isKeyed: key !== null, rest: line.slice(key ? at + key[0].length : at) };
}

const isEmpty = (line) => /^\s*(#|$)/.test(line);

// What stands open at the end of a value in braces: [{ kind, key, given }], or null within a comment.
function flowAt(text) {
  const open = [];
  let quote = "", token = "";
  for (const [index, letter] of [...text].entries()) {
    const inner = open.at(-1);
    if (quote) {
      if (letter === quote) quote = "";
      token += letter;
    } else if (letter === "'" || letter === '"') { quote = letter; token += letter; }
    else if (letter === "#" && (index === 0 || text[index - 1] === " ")) return null;
    else if (letter in OPEN && (inner || !token.trim())) { open.push({ kind: OPEN[letter], key: null, given: new Map() }); token = ""; }
    else if (inner && (letter === "}" || letter === "]")) { open.pop(); token = ""; }
    else if (inner && letter === ",") {
      if (inner.key) inner.given.set(inner.key, token.trim());
      inner.key = null;
      token = "";
    } else if (inner?.kind === "map" && letter === ":" && inner.key === null) { inner.key = token.trim().replace(/["']/g, ""); token = ""; }
    else token += letter;
  }
  return open;
}

// Keys and values beside a line of a block, as far as its mapping goes.
function beside(lines, index, column) {
  const given = new Map();
  for (const step of [-1, 1]) {
    for (let at = index + step; at >= 0 && at < lines.length; at += step) {
      if (isEmpty(lines[at])) continue;
      const { keys, rest } = opened(lines[at]);
      const own = keys.find((entry) => entry.column === column && entry.key !== "[]");
      if (own) given.set(own.key, rest.replace(/\s#.*$/, "").trim());
      if ((keys[0]?.column ?? lines[at].match(/^ */)[0].length) < column) break;
    }
  }
  return given;
}

// Where a position of the text stands: the keys that lead there, whether a key is begun or a value, and what is begun.
export function placeAt(text, position) {
  const lines = text.split("\n");
  const index = text.slice(0, position).split("\n").length - 1;
  const begin = text.lastIndexOf("\n", position - 1) + 1;
  const before = text.slice(begin, position);
  const here = opened(before);
  const flow = /^\s*#/.test(before) ? null : flowAt(here.rest);
  if (flow === null) return null;
  const path = here.keys.map((entry) => entry.key);
  let limit = here.keys[0]?.column ?? here.column;
  for (let at = index - 1, isItem = path[0] === "[]"; at >= 0 && (limit > 0 || isItem); at -= 1) {
    if (isEmpty(lines[at])) continue;
    const { keys } = opened(lines[at]);
    for (const { column, key } of keys.reverse()) {
      // The items of a list may stand as far left as its key.
      if (column < limit || (isItem && column === limit && key !== "[]")) {
        path.unshift(key);
        limit = column;
        isItem = key === "[]";
      }
    }
  }
  for (const { kind, key } of flow) {
    if (kind === "list") path.push("[]");
    else if (key !== null) path.push(key);
  }
  const inner = flow.at(-1);
  const isKey = inner ? inner.kind === "map" && inner.key === null : !here.isKeyed;
  const isItem = inner ? inner.kind === "list" : !here.isKeyed && here.keys.at(-1)?.key === "[]";
  const given = inner ? inner.given : beside(lines, index, here.keys.at(-1)?.key === "[]" ? here.column : (here.keys.at(-1)?.column ?? here.column));
  return { path, isKey, isItem, inBraces: inner !== undefined, given, begun: before.match(WORD)?.[0] ?? "" };
}

// The names that each section declares, each with what stands behind it.
export function declaredIn(text) {
  const found = {};
  let section = null, indent = null;
  for (const line of text.split("\n")) {
    if (isEmpty(line)) continue;
    const { keys, rest } = opened(line);
    const first = keys[0];
    if (!first) continue;
    if (first.column === 0) {
      section = found[first.key] = new Map();
      indent = null;
      for (const [, name, value] of rest.startsWith("{") ? rest.matchAll(/(\w+)\s*:\s*([^,{}]+)/g) : []) section.set(name, value.trim());
    } else if (section && first.column === (indent ??= first.column) && first.key !== "[]") section.set(first.key, rest.replace(/\s+#.*$/, "").trim());
  }
  return found;
}

// The plain schemas that one stands for; each remembers by which name it was referred to.
function* plain(schema, root, named = null) {
  if (schema.$ref) {
    const name = schema.$ref.split("/").at(-1);
    const { $ref, ...own } = schema;
    yield* plain({ ...root.$defs[name], ...own }, root, name);
  } else if (schema.anyOf) {
    for (const option of schema.anyOf) yield* plain(option.description ? option : { ...option, description: schema.description }, root, named);
  } else yield { ...schema, named };
}

// An indicator's parameters stand in the schema under its name.
function keysOf(schema, given) {
  const own = (schema.allOf ?? []).filter((part) => part.if?.properties?.indicator?.const === given.get("indicator"));
  return Object.assign({}, schema.properties, ...own.map((part) => part.then.properties));
}

function below(schema, key, given) {
  if (key === "[]") return schema.items ? [schema.items] : [];
  const properties = keysOf(schema, given);
  if (key in properties) return [properties[key]];
  const matched = Object.entries(schema.patternProperties ?? {}).filter(([pattern]) => new RegExp(pattern).test(key));
  if (matched.length) return matched.map(([, found]) => found);
  return typeof schema.additionalProperties === "object" ? [schema.additionalProperties] : [];
}

export function schemasAt(root, path, given) {
  let found = [...plain(root, root)];
  path.forEach((key, depth) => {
    const known = depth === path.length - 1 ? given : new Map();
    found = found.flatMap((schema) => below(schema, key, known)).flatMap((schema) => [...plain(schema, root)]);
  });
  return found;
}

const isCapital = (name) => /^[A-Z][A-Z0-9_]*$/.test(name);
const namesOf = (declared, section, kind) => [...(declared[section] ?? [])].map(([label, detail]) => ({ label, detail: detail.slice(0, 60), type: kind }));
const regimesOf = (declared) => namesOf(declared, "regimes", "constant").filter(({ label }) => isCapital(label)).map(({ label }) => ({ label, detail: "regime", type: "constant" }));

function keyOptions(schemas, { path, given, inBraces }, declared) {
  const options = schemas.flatMap((schema) => Object.entries(keysOf(schema, given)).map(([label, about]) => {
    const isNested = ["object", "array"].includes(about.type) || ["side", "manage", "conditions", "feature"].includes(about.$ref?.split("/").at(-1));
    return { label, apply: isNested && !inBraces ? `${label}:` : `${label}: `, info: about.description, detail: schema.required?.includes(label) ? "needed" : "", type: "property" };
  }));
  const [section, , part] = path;
  const own = path.length === 1 && section === "router" ? regimesOf(declared)
    : path.length !== 3 || section !== "symbols" ? []
      : part === "router" ? regimesOf(declared) : namesOf(declared, part, "variable");
  return [...options, ...own.map((option) => ({ ...option, apply: `${option.label}: ` }))].filter(({ label }) => !given.has(label));
}

function expressionOptions(language, declared, onlyNumbers) {
  const functions = language.functions.filter(({ name }) => !onlyNumbers || ["min", "max", "abs"].includes(name))
    .map(({ name, written }) => ({ label: name, apply: `${name}(`, detail: written.slice(name.length), type: "function" }));
  if (onlyNumbers) return [...namesOf(declared, "thresholds", "variable"), ...functions];
  return [
    ...["features", "define", "thresholds", "choices", "sessions"].flatMap((section) => namesOf(declared, section, "variable")), ...regimesOf(declared), ...functions,
    ...language.words.map(({ name, meaning }) => ({ label: name, info: meaning, type: "keyword" })), ...["and", "or", "not"].map((label) => ({ label, type: "keyword" })),
  ];
}

function valueOptions(schemas, { path }, language, declared) {
  const found = [];
  for (const schema of schemas) {
    if (schema.enum) found.push(...schema.enum.map((value, index) => ({ label: String(value), info: schema.enumDescriptions?.[index], type: "enum" })));
    if ("const" in schema) found.push({ label: String(schema.const), type: "enum" });
    if (schema.type === "boolean") found.push({ label: "true", type: "enum" }, { label: "false", type: "enum" });
    if (schema.named === "timeframeUse") found.push(...namesOf(declared, "timeframes", "variable"));
    if (schema.named === "regimeName") found.push(...regimesOf(declared));
    if (schema.named === "name" && path.includes("router")) found.push(...namesOf(declared, "strategies", "variable").map(({ label }) => ({ label, detail: "strategy", type: "variable" })));
    if (schema.named === "expression") found.push(...expressionOptions(language, declared, false));
    if (schema.named === "numberExpression") found.push(...expressionOptions(language, declared, true));
    if (["integer", "number"].includes(schema.type)) found.push(...(schema.default === undefined ? schema.examples ?? [] : [schema.default]).map((value) => ({ label: String(value), info: schema.description, detail: schema.default === undefined ? "as an example" : "usual", type: "enum" })));
  }
  return [...new Map(found.map((option) => [option.label, option])).values()];
}

// The options at a position: { from, options }, or null where nothing can be said.
export function completionsAt(text, position, language) {
  const place = placeAt(text, position);
  if (!place) return null;
  const schemas = schemasAt(language.schema, place.path, place.given);
  const declared = declaredIn(text);
  const options = [...(place.isKey ? keyOptions(schemas, place, declared) : []), ...(!place.isKey || place.isItem ? valueOptions(schemas, place, language, declared) : [])];
  // What is not a word yet, such as a number, is completed from where it begins.
  return options.length ? { from: position - (place.begun || text.slice(0, position).match(/[\w.]*$/)[0]).length, options } : null;
}
