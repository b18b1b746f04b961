// Files and folders that are dropped on the page.

const isHidden = (name) => name.startsWith(".") || name === "__MACOSX";

// Promises of the files of everything that was dropped, as pairs of a name, with its folders, and the file. What was
// dropped has to be read from the event at once; what is in the folders comes later.
export function droppedFiles(transfer) {
  const entries = [...transfer.items].filter((item) => item.kind === "file").map((item) => item.webkitGetAsEntry?.());
  if (entries.some((entry) => entry?.isDirectory)) return entries.filter(Boolean).map((entry) => filesIn(entry, ""));
  return [...transfer.files].map(async (file) => [[file.name, file]]);
}

async function filesIn(entry, folder) {
  const name = folder + entry.name;
  if (entry.isFile) return [[name, await new Promise((resolve, reject) => entry.file(resolve, reject))]];
  const found = [];
  for (const child of await childrenOf(entry)) {
    if (!isHidden(child.name)) found.push(...(await filesIn(child, `${name}/`)));
  }
  return found;
}

// A reader gives some of a folder's entries at a time, and none at the end.
async function childrenOf(folder) {
  const reader = folder.createReader();
  const children = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return children.sort((a, b) => a.name.localeCompare(b.name));
    children.push(...some);
  }
}
