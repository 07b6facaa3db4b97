// Signs the body on standard input with the official Node SDK and prints the header:
//   node sign_with_node.mjs SECRET [TIMESTAMP] < body
// With `--verify HEADER` it prints the event id instead, or ends with an error.
import { readFileSync } from 'node:fs';
import Stripe from 'stripe';

const stripe = new Stripe('sk_test_12345');
const payload = readFileSync(0, 'utf8');
const [secret, second, third] = process.argv.slice(2);

if (second === '--verify') {
  process.stdout.write(stripe.webhooks.constructEvent(payload, third, secret).id);
} else {
  const timestamp = second === undefined ? undefined : Number(second);
  process.stdout.write(stripe.webhooks.generateTestHeaderString({ payload, secret, timestamp }));
}
