// Reads a status page as its users' programs do, and prints what each client understood of every address that is given.
'use strict';
const { Statuspage } = require('statuspage.io');
const Parser = require('rss-parser');

async function read(base) {
  const client = new Statuspage('ours');
  client.setApiUrl(base);
  const api = client.api;
  const feed = async (name) => {
    const f = await new Parser().parseURL(base + name);
    return {
      title: f.title, link: f.link,
      items: f.items.map((i) => ({ title: i.title, link: i.link, id: i.id || i.guid, at: i.isoDate, content: i.content })),
    };
  };
  return {
    summary: await api.getSummary(),
    status: await api.getStatus(),
    components: await api.getComponents(),
    incidents: await api.incidents.getAll(),
    unresolved: await api.incidents.getUnresolved(),
    upcoming: await api.scheduledMaintenances.getUpcoming(),
    atom: await feed('/history.atom'),
    rss: await feed('/history.rss'),
  };
}

(async () => {
  const all = {};
  for (const base of process.argv.slice(2)) all[base] = await read(base);
  process.stdout.write(JSON.stringify(all));
})().catch((err) => {
  console.error(err.stack || err);
  process.exit(1);
});
