// Beam search over the exported step, as captioner/decoding/search.py does it, for one photo.

const CONSIDERED = 5; // words told of at every step

/**
 * Every caption that was found, the best first: ``{words, logs, total, finished, score, looks}``.
 * @param step takes the words before and, for each, the row that its state comes from; gives Float32Arrays.
 */
export async function beamSearch(model, step, { beam_size: beam, max_length: longest, length_normalization: power }) {
  const { special, vocabulary } = model;
  const size = vocabulary.words.length;
  const never = [special.pad, special.start, special.unknown];
  let live = [{ words: [], logs: [], total: 0, looks: [] }];
  let parents = [0];
  const found = [];
  for (let t = 0; t < longest && live.length; t++) {
    const last = live.map(({ words }) => words.at(-1) ?? special.start);
    const { log_probs: all, alpha, beta, gates } = await step(last, parents);
    const banned = new Set(t === 0 && size > 4 ? [...never, special.end] : never);
    const extensions = [];
    const looks = live.map((hypothesis, row) => {
      const logs = all.subarray(row * size, (row + 1) * size);
      for (const word of banned) logs[word] = -Infinity;
      const best = largest(logs, Math.max(beam, CONSIDERED));
      for (const word of best.slice(0, beam)) {
        extensions.push({ row, word, log: logs[word], total: hypothesis.total + logs[word] });
      }
      const part = (values) => values && Array.from(values.subarray((row * values.length) / live.length, ((row + 1) * values.length) / live.length));
      return {
        alpha: part(alpha),
        beta: part(beta),
        gates: part(gates),
        considered: best.slice(0, CONSIDERED).map((word) => [vocabulary.words[word], Math.exp(logs[word])]),
      };
    });
    extensions.sort((a, b) => b.total - a.total);
    const grown = extensions.slice(0, beam - found.length).map(({ row, word, log, total }) => ({
      row,
      word,
      total,
      words: [...live[row].words, word],
      logs: [...live[row].logs, log],
      looks: [...live[row].looks, looks[row]],
    }));
    found.push(...grown.filter(({ word }) => word === special.end).map((ended) => ({ ...ended, finished: true })));
    live = grown.filter(({ word }) => word !== special.end);
    parents = live.map(({ row }) => row);
  }
  found.push(...live.map((unfinished) => ({ ...unfinished, finished: false })));
  for (const each of found) {
    each.score = each.total / each.words.length ** power;
    if (each.finished) [each.words, each.looks] = [each.words.slice(0, -1), each.looks.slice(0, -1)];
  }
  return found.sort((a, b) => b.finished - a.finished || b.score - a.score);
}

/** Places of the largest finite values, the largest first. */
function largest(values, count) {
  const places = [];
  for (let i = 0; i < values.length; i++) {
    if (values[i] === -Infinity || (places.length === count && values[i] <= values[places.at(-1)])) continue;
    let at = places.length;
    while (at && values[i] > values[places[at - 1]]) at--;
    places.splice(at, 0, i);
    if (places.length > count) places.pop();
  }
  return places;
}
