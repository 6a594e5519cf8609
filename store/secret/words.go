package secret

// list holds the words of phrases. It was written for this project: nouns and a few adjectives of three to eight letters that people of
// any country can spell, nothing that hurts or frightens, and no two that one letter wrong, missing or swapped would confuse.
const list = `
acorn actor admiral agate airfield album alcove algebra almanac almond alpine amber amigo anchor angle antelope antler
apple apricot apron aquarium arbor arcade archer arctic arena armchair aroma arrow artisan artist aspen asphalt aster
astral athlete atlas atrium attic auburn aurora autumn avenue avocado award axis azure bagel baker balcony ballad
ballet balloon bamboo banana banjo banner barista barley barn barnacle barrel basil basket bassoon bath bayou beach
beacon beanbag beaver bedrock beetle begonia belt berry bicycle biplane birch bird biscuit blanket blaze blossom
blouse blue bluebell bluefin bobbin bonfire bonnet bonsai bonus book border botany bottle boulder bouquet bowl
bowsprit branch brass bread breeze brick bridge bright brioche broccoli bronze broom brown brownie brush bubble bucket
buckle budget buffalo bugle builder bulb bumper bundle bungalow bunting buoy burgundy burlap butter button buzzer
cabbage cabin cabinet cable cactus calendar calico calm camel camellia camera camp campfire canal canary candle canoe
canvas canyon capsule captain caramel caravan carbon cardigan cardinal cargo carnival carousel carpet carrot cartoon
cascade cashew cashmere castle catalog cauldron causeway cedar celery cello ceramic cereal chalk chamber channel
chapter charcoal chariot charm cheese cheetah cherry chestnut chimney chipmunk chorus chutney cider cinema cinnamon
circle circus citizen citrus city clarinet classic clay cliff climate clock clover coach coast cobalt cobbler cockatoo
cocoa coconut coffee collar college column comet comfort compass concert condor cookie copper coral corduroy corner
cosmos cottage cotton cougar country couple courage cousin coyote cradle crane crater crayon cream creek crescent
cricket crimson crisp crocus crossing cruise crumb crystal cube cucumber culture cupboard cupcake curator curl current
curry curtain curve cushion custard cycle cymbal cypress daffodil dahlia dairy dancer dapper dawn daydream daylight
decimal deckhand delta denim depot desert desk dewdrop diagram dial diamond dinner diver dogwood dolphin domain dome
domino doorbell doorway doughnut dragon drama drawer dress drizzle drum duck dumpling dune duplex dynamo eager eagle
early earth easel east echo eclipse editor eggplant eggshell elastic elbow elder elegant elephant elevator elm emblem
emerald emu energy engine envelope episode equator eraser espresso essay estate estuary evening evenly exhibit
explorer express fabric factory falafel falcon family famous fanfare farmer farmland fashion feather fedora feline
fennel fern ferret festival fiddle field fig figment filter finch finger firefly fireside fjord flag flagpole flagship
flamingo flannel fleece flight flint float flora florist flower fluffy flute focus foliage folk footpath forest
forever forge formula forum fossil fountain fox foxglove fragrant frame freckle freesia fresh friend frigate fringe
frost frosting fruit fudge funny furrow future gadget galaxy gallery gallop garage garden gardenia garlic garnet
gateway gazebo gazelle gearbox gecko gelato gentle geranium geyser giant gift gingham giraffe glacier glad glass glide
glimmer globe glory goblet golden goldfish golf gondola gourmet grain grand granite grape gravel gravity green
greenery grocery grotto group grove guava guest guitar gull gumdrop gymnast habitat hairpin hammer hammock hamster
handbag happy harmony harp harvest hatbox hazel hazelnut headland heart hedge hedgehog heirloom helium helmet herald
herbal heron hexagon hibiscus highland hiker hill history hobby hockey holiday hollow homeland honest honey honeydew
horizon horse hotel humble hummus hut hyacinth hydrant hydrogen iceberg icicle icon igloo iguana indigo ink inkwell
inlet insect iris island ivory jacket jackpot jaguar jamboree jasmine jelly jersey jewel jigsaw jogger jonquil journal
journey joyful jubilee juggler juice jungle junior juniper kangaroo kayak kelp kernel kettle keyboard keystone kingdom
kiosk kitchen kite kitten kiwi knapsack knight koala ladder ladle ladybug lagoon lake lakeside landmark lantern larch
lark larkspur lasso lattice laurel lava lavender leaf learner lemon lemonade leopard lesson lettuce library lifeboat
lilac lily lime limerick linen lion liquid listen little lively lizard llama lobster locket lodge logic lollipop
longboat lotus lounge loyal lozenge lucky lullaby lumber lunar lunch lupin lyric macaroni macaw magenta magic magnet
magnolia magpie mahogany mailbox major mallard mammoth manatee mandarin mandolin mango mangrove maple marble margin
marigold marimba marina mariner market marmot maroon marsh marvel marzipan mascot matinee meadow medal medley meerkat
mellow melody melon memory mentor menu merchant mercury meringue mermaid meteor metro midday millet mineral mint
mirror mixer mobile moccasin model modern modest mohair molasses molecule moment moon moonbeam morning mosaic moss
motor motorway mouse muffin mulberry mural museum mushroom music muskrat mystery napkin narwhal nation nature nautical
navy nebula nectar needle neon nephew neptune nest neutral newborn nickel nimble noble noodle northern notebook nougat
novel nugget nurse nutmeg nylon oak oasis oatcake oatmeal oboe observer obsidian ocean octagon octopus office olive
omelet onion onyx opal opera opossum orange orbit orchard orchid oregano organ origami oriole ornament osprey ostrich
otter outdoor outpost oven overcoat oxygen oyster pacific paddle pagoda painter pajama palace palette palomino pampas
pancake panda panel pansy panther papaya paper paprika papyrus parade parakeet parasol parcel parka parsley partner
passport pasta pastel pastry patch pathway patio pavilion peacock peanut peapod pear pebble pecan pelican pencil
penguin peony pepper perch perfume pergola person petunia pewter pheasant phoenix photo piano piccolo pickle picnic
pigeon pillow pilot pinecone pinwheel pioneer pitcher pixel pizza plaid planet plaster plateau platinum platypus plaza
plum plumage poem polar polite polka pollen pomelo poncho pond popcorn poppy porpoise porridge portrait postcard
postman potato potluck pottery powder prairie pretzel primrose prism prize promise proud pudding pueblo pulley pulsar
puma pumpkin puppet purple puzzle pyramid quail quarry quartz quick quiet quill quince quiver quiz quokka rabbit
raccoon radar radio radish raft ragtime railway rainbow rainfall raisin rally ranger rapids raven ravioli recipe
redwood reef refresh region reindeer relay relish remedy reptile resin rhombus rhubarb rhythm ribbon rice ricotta
ripple riverbed robin robot rodeo romance roof rooster rosemary rotunda round route rowboat rowing ruby rudder ruler
runner rustic rye safari saffron sage sailboat sailor salad salmon sample sandal sandbox sandwich sapphire sardine
satchel satin saturn saucer sauna savanna scallop scarf scenic scholar school schooner science scooter scout scroll
sculptor seagull seahorse seashell seaside season seaweed seed senior sequoia sesame shadow shamrock shelf shelter
shepherd sherbet shimmer ship shirt shoelace shore shovel shrub shuttle sienna signal silk silver sketch skipper sky
skylark skylight skyline slate sleigh smile smooth snorkel snowball snowdrop snowman soccer sofa solid solstice sonata
songbird soprano sorbet sorrel soybean space spaniel sparkle sparrow special speckle spinach spiral splash sponge
spoon spring spruce spyglass square squash squid squirrel stable stadium stamp star stardust starfish starling station
statue steady steam steel stencil steppe stereo stone stork street strudel student studio sturdy style subway sugar
suitcase summer summit sunbeam sundial sunrise sunset sunshine supper surfer swan sweater swift swing sycamore symbol
symphony syrup tablet tabletop tadpole talent tandem tangelo tapestry tartan taxi teacher teacup teapot teaspoon teddy
telegram temple tennis tent terrace terrier textile texture thatch thicket thimble thistle thread three thrush thunder
thyme tidal tiger timber tinsel tomato toolbox topaz topiary topic torch tortoise toucan tour towel town tractor trail
tranquil transit treasure treetop trellis triangle tricycle trilogy trinket trolley trombone trophy tropical trout
trumpet trunk tuba tugboat tulip tulle tumbler tundra tunic tunnel turbine turnip turtle tweed twilight twin ukulele
umbrella uncle unicorn uniform universe upbeat upland upright uptown urban utensil vacation valley vanilla vapor vault
velvet vendor venture veranda verse vessel viaduct victory video village vineyard vintage vinyl viola violet violin
visitor vista vivid volume voyage waffle wagon wallaby walnut walrus waltz wander warbler wardrobe warm washer water
wave wedding weekend welcome wetland whale wharf wheat wheel whisker wicker widget wildlife windmill window windsock
winter wisdom wise wisteria wombat wooden woodland workshop world wren writer yacht yearbook yoga yogurt yonder young
zebra zenith zephyr zeppelin zigzag zinc zipper zither zodiac zone zucchini
`
