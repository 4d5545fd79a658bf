// Files that were compressed when the page was built: not every host compresses what it sends.

/** The unpacked content of a file. `tell` gets the number of bytes of each piece that arrives. */
export async function fetchPacked(url, tell = () => {}) {
  let response;
  try {
    response = await fetch(url);
  } catch {
    throw new Error("A part of the page did not arrive. Check the connection, and reload the page.");
  }
  if (!response.ok) throw new Error(`A part of the page did not arrive (${response.status}). Reload the page.`);
  const count = new TransformStream({
    transform(piece, controller) {
      tell(piece.length);
      controller.enqueue(piece);
    },
  });
  const packed = new Uint8Array(await new Response(response.body.pipeThrough(count)).arrayBuffer());
  // A host may have sent it as compressed, so that the browser has unpacked it.
  if (packed[0] !== 0x1f || packed[1] !== 0x8b) return packed.buffer;
  const plain = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(plain).arrayBuffer();
}
