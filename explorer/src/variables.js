// A first set of variables for a saved operation: what it needs, with values to overwrite.
import { getNullableType, isEnumType, isInputObjectType, isListType, isNonNullType, typeFromAST } from "graphql";

const DAY_MS = 86_400_000;
const EXAMPLES = { lastMs: DAY_MS, first: 10, timezone: "UTC" };
const ZEROS = { Int: 0, Float: 0, SafeInt: 0, USD: 0, Boolean: false };

function fieldsOf(type) {
  const fields = Object.values(type.getFields());
  const required = fields.filter((field) => isNonNullType(field.type) && field.defaultValue === undefined);
  // Introspection does not tell a @oneOf input from one without required fields: an example fits both.
  return required.length > 0 ? required : fields.filter((field) => field.name in EXAMPLES).slice(0, 1);
}

function example(name, type) {
  if (name in EXAMPLES) return EXAMPLES[name];
  const plain = getNullableType(type);
  if (isListType(plain)) return [];
  if (isEnumType(plain)) return plain.getValues()[0].value;
  if (isInputObjectType(plain)) return Object.fromEntries(fieldsOf(plain).map((field) => [field.name, example(field.name, field.type)]));
  if (plain.name === "DateTime") return new Date().toISOString();
  return ZEROS[plain.name] ?? "";
}

/** JSON text for the variables editor: required variables with an example, the optional ones left out; "" when none is required. */
export function stubVariables(operation, schema) {
  const required = operation.variableDefinitions.filter(({ type, defaultValue }) => type.kind === "NonNullType" && !defaultValue);
  if (required.length === 0 || !schema) return "";
  const pairs = required.map(({ variable, type }) => {
    const known = typeFromAST(schema, type);
    return [variable.name.value, known ? example(variable.name.value, known) : ""];
  });
  return JSON.stringify(Object.fromEntries(pairs), null, 2);
}
