import SerializerSelector from "@fastify/fast-json-stringify-compiler";

/**
 * Fastify compiles a serializer for each answer of each route, and of the HEAD beside each GET; a third of its start and some megabytes
 * go into it. Those of equal schemas, such as the report that a dozen routes answer, are one here.
 */
export const buildSerializer: SerializerSelector.SerializerFactory = (externalSchemas, options) => {
  const compile = SerializerSelector()(externalSchemas, options);
  const made = new Map<string, SerializerSelector.Serializer>();
  return (route) => {
    const text = JSON.stringify(route.schema);
    const serializer = made.get(text) ?? compile(route);
    made.set(text, serializer);
    return serializer;
  };
};
