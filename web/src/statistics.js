// What describes a style, and mixtures of styles: adain/inference/style_code.py and
// adain/imaging/palette.py do the same.

/** Eigenvalues and eigenvectors (as columns) of a symmetric 3 x 3 matrix, by Jacobi's rotations. */
export function eigen(matrix) {
  const a = [matrix.slice(0, 3), matrix.slice(3, 6), matrix.slice(6, 9)].map((row) => [...row]);
  const v = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
  for (let sweep = 0; sweep < 30; sweep += 1) {
    const off = Math.abs(a[0][1]) + Math.abs(a[0][2]) + Math.abs(a[1][2]);
    if (off === 0) break;
    for (const [p, q] of [[0, 1], [0, 2], [1, 2]]) {
      if (a[p][q] === 0) continue;
      const theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
      const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.hypot(theta, 1));
      const c = 1 / Math.hypot(t, 1);
      const s = t * c;
      for (let k = 0; k < 3; k += 1) [a[k][p], a[k][q]] = [c * a[k][p] - s * a[k][q], s * a[k][p] + c * a[k][q]];
      for (let k = 0; k < 3; k += 1) [a[p][k], a[q][k]] = [c * a[p][k] - s * a[q][k], s * a[p][k] + c * a[q][k]];
      for (let k = 0; k < 3; k += 1) [v[k][p], v[k][q]] = [c * v[k][p] - s * v[k][q], s * v[k][p] + c * v[k][q]];
    }
  }
  return { values: [a[0][0], a[1][1], a[2][2]], vectors: v };
}

/** The square root of a covariance; eigenvalues that rounding left below 0 count as 0. */
export function squareRoot(matrix) {
  const { values, vectors } = eigen(matrix);
  const roots = values.map((value) => Math.sqrt(Math.max(value, 0)));
  const entry = (i, j) => roots.reduce((sum, root, k) => sum + vectors[i][k] * root * vectors[j][k], 0);
  return Array.from({ length: 9 }, (_, at) => entry(Math.floor(at / 3), at % 3));
}

const multiply = (a, b) =>
  Array.from({ length: 9 }, (_, at) => {
    const i = 3 * Math.floor(at / 3);
    const j = at % 3;
    return a[i] * b[j] + a[i + 1] * b[j + 3] + a[i + 2] * b[j + 6];
  });

function blend(vectors, shares) {
  const sum = new Array(vectors[0].length).fill(0);
  vectors.forEach((vector, at) => vector.forEach((value, i) => (sum[i] += shares[at] * value)));
  return sum;
}

/**
 * Weighted mean of style statistics. Of covariances the square roots are averaged, so that
 * deviations are, as in the other statistics.
 *
 * @param codes `{mean, std, paletteMean, paletteCovariance}`, each a Float32Array.
 * @param weights One for each, 0 or more, not all 0.
 */
export function mix(codes, weights) {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const shares = weights.map((weight) => weight / total);
  const root = blend(codes.map((code) => squareRoot(code.paletteCovariance)), shares);
  const mean = (name) => Float32Array.from(blend(codes.map((code) => code[name]), shares));
  return {
    mean: mean("mean"),
    std: mean("std"),
    paletteMean: mean("paletteMean"),
    paletteCovariance: Float32Array.from(multiply(root, root)),
  };
}

/** The style cards of one file: for each mean, deviation, mean colour and its covariance. */
export function readCodes(buffer, channels, count) {
  const numbers = new Float32Array(buffer);
  const length = 2 * channels + 12;
  if (numbers.length !== count * length) throw new Error("The file of the styles is damaged. Reload the page.");
  return Array.from({ length: count }, (_, at) => {
    const part = numbers.subarray(at * length, (at + 1) * length);
    return {
      mean: part.subarray(0, channels),
      std: part.subarray(channels, 2 * channels),
      paletteMean: part.subarray(2 * channels, 2 * channels + 3),
      paletteCovariance: part.subarray(2 * channels + 3),
    };
  });
}
