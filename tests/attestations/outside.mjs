// Checks sigstore bundles with sigstore's own JavaScript library, which shares no code with this project.
//
//     npm install @sigstore/bundle @sigstore/verify
//     openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem
//     openssl pkey -in key.pem -pubout -out key.pub
//     weighbridge attest report.json --key key.pem --sigstore
//     node tests/attestations/outside.mjs key.pub report.*.sigstore.json
//
// Prints the type of each statement that the key has signed. Exit status 1 if one of them is not signed by it.

import { createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

// The packages may be installed in the folder that this is called from.
const require = createRequire(`${process.cwd()}/package.json`);
const { bundleFromJSON } = require("@sigstore/bundle");
const { Verifier, toSignedEntity, toTrustMaterial } = require("@sigstore/verify");

const [key, ...bundles] = process.argv.slice(2);
if (!bundles.length) {
  console.error("usage: node outside.mjs KEY BUNDLE...");
  process.exit(2);
}
const publicKey = createPublicKey(readFileSync(key));
const root = { certificateAuthorities: [], ctlogs: [], tlogs: [], timestampAuthorities: [] };
const trust = toTrustMaterial(root, () => ({ publicKey, validFor: () => true }));
// There is no transparency log and no time stamp: a key vouches alone.
const none = { ctlogThreshold: 0, tlogThreshold: 0, timestampThreshold: 0, tsaThreshold: 0 };
const verifier = new Verifier(trust, none);
for (const path of bundles) {
  const bundle = bundleFromJSON(JSON.parse(readFileSync(path)));
  try {
    verifier.verify(toSignedEntity(bundle));
  } catch (error) {
    console.error(`${path}: ${error.message}`);
    process.exit(1);
  }
  const payload = bundle.content.dsseEnvelope.payload.toString();
  console.log("signed:", JSON.parse(payload).predicateType);
}
