// A line for each file that passed; everything about what failed.
export default async function* reporter(source) {
  const counts = { pass: 0, fail: 0 };
  for await (const { type, data } of source) {
    if (type === 'test:pass' && data.details.type !== 'suite' && data.nesting === 0) counts.pass++;
    if (type === 'test:fail') {
      counts.fail++;
      const error = data.details.error;
      yield `not ok: ${data.name} (${data.file}:${data.line})\n${error.cause?.stack ?? error.cause ?? error}\n`;
    }
    if (type === 'test:stderr' || type === 'test:stdout') yield data.message;
  }
  yield `   ${counts.pass} passed, ${counts.fail} failed\n`;
}
